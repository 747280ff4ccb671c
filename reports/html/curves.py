"""Loss, gradient norm and learning rate over the steps: right, as this framework has them, and as the others do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.html.figure import Figure, Numbers, finite, numbers, told
from reports.source import Cell

RIGHT = "right, by the oracle"
QUANTITIES = (
    "loss, as reported",
    "gradient norm, as reported",
    "gradient norm that reached the optimizer",
    "learning rate, as reported",
)
MOST_OTHERS = 8
"""Beside the oracle's and this run's: as many as there are colours."""


@dataclass(frozen=True)
class Point:
    what: str
    who: str
    step: int
    value: float | None


def figure(cell: Cell, others: Sequence[Cell]) -> Figure | None:
    """None where the cell tells nothing."""
    telling = [other for other in others if other.told.reported or other.steps]
    shown = telling[:MOST_OTHERS]
    own = [*_right(cell), *_told(cell)]
    if not any(finite(p.value) for p in own):
        return None
    points = [*own, *(point for other in shown for point in _told(other))]
    return Figure(
        id="curves",
        chart="curves",
        title="Loss, gradient norm and learning rate, step by step",
        sentence=_sentence(cell, len(shown), len(telling)),
        # Drawn last, and so on top: this run's line, and the oracle's, whose gaps show what lies under it.
        data={
            "points": [_mark(p) for p in reversed(points) if finite(p.value)],
            "who": list(dict.fromkeys(p.who for p in points)),
        },
        numbers=_table(points),
    )


def _name(cell: Cell) -> str:
    return f"{cell.record.framework} {cell.record.version}"


def _right(cell: Cell) -> Iterator[Point]:
    """What each step should have been, from the parameters that this framework had before it."""
    for step in cell.steps:
        yield Point(QUANTITIES[0], RIGHT, step.step, step.loss.right)
    for step in cell.steps:
        yield Point(QUANTITIES[1], RIGHT, step.step, step.grad_norm.right)
    for step in cell.steps:
        yield Point(QUANTITIES[2], RIGHT, step.step, step.grad_norm.right * step.right)
    for step in cell.steps:
        yield Point(QUANTITIES[3], RIGHT, step.step, step.learning_rate.right)


def _told(cell: Cell) -> Iterator[Point]:
    who = _name(cell)
    for line in cell.told.reported:
        yield Point(QUANTITIES[0], who, line.step, line.loss)
        yield Point(QUANTITIES[1], who, line.step, line.grad_norm)
        yield Point(QUANTITIES[3], who, line.step, line.learning_rate)
    for step in cell.steps:
        yield Point(QUANTITIES[2], who, step.step, step.grad_norm.recovered)


def _mark(point: Point) -> dict[str, object]:
    return {
        "what": point.what,
        "who": point.who,
        "step": point.step,
        "value": point.value,
        "exact": told(point.value, 9),
    }


def _sentence(cell: Cell, shown: int, others: int) -> str:
    known = f"{'; '.join(_against(cell))}. What is right follows from this run's own parameters before each step."
    said = known if cell.steps else "As reported; what is right was not recovered."
    count = f"{shown} of {others}" if shown < others else str(others)
    beside = f" Beside it {count} other run{'' if others == 1 else 's'} of this scenario." if others else ""
    return f"{said[0].upper()}{said[1:]}{beside}"


def _against(cell: Cell) -> Iterator[str]:
    """What was found of the numbers that are reported: no sentence finds what the checks do not."""
    for code, name, each in (
        ("loss.value", "reported loss", [step.loss for step in cell.steps]),
        ("grad-norm.value", "reported gradient norm", [step.grad_norm for step in cell.steps]),
        ("learning-rate.value", "reported learning rate", [step.learning_rate for step in cell.steps]),
    ):
        known = [step.step for step, one in zip(cell.steps, each, strict=True) if one.reported is not None]
        found = {finding.step for finding in cell.record.findings if finding.code == code}
        wrong = len(found.intersection(known))
        if not known:
            yield f"{name}: none"
        else:
            yield f"{name}: {f'wrong at {wrong} of {len(known)} steps' if wrong else 'right at every step'}"


def _table(points: Sequence[Point]) -> Numbers:
    steps = sorted({p.step for p in points})
    found = {(p.what, p.who, p.step): p.value for p in points}
    lines = dict.fromkeys((p.what, p.who) for p in points)
    ordered = sorted(lines, key=lambda line: QUANTITIES.index(line[0]))
    rows = [[what, who, *(told(found.get((what, who, step)), 9) for step in steps)] for what, who in ordered]
    return numbers(["", "run", *(f"step {step}" for step in steps)], rows)
