"""Tensor by tensor: how far each moved and how far that is off, and the learning rate and the decay that it got."""

from __future__ import annotations

import bisect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness import printable
from harness.traces.recovered_numbers import Compared, StepWeights, TensorStep
from harness.verdicts.verdict import FindingRecord
from reports.html.figure import Figure, finite, numbers, told

MOST_STEPS = 6
"""That a heat map shows."""
MOST_TENSORS = 120
MOST_OF_A_CAUSE = 400

_OFF = (1e-4, 1e-2, 0.1, 0.3, 0.7)
"""Bounds of the shades for what is off, relative to the right update."""
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")


OUTSIDE = "-"
"""The column of what is in no layer."""


@dataclass(frozen=True)
class Place:
    """Where a tensor stands on the map."""

    row: str
    column: str


def place(name: str) -> Place:
    """`model.layers.3.mlp.up_proj.weight` is `mlp.up_proj` in layer 3; what is in no layer stands before the first."""
    found = _LAYER.search(name)
    kind = name[found.end() :] if found else name.removeprefix("model.")
    return Place(kind.removesuffix(".weight"), found[1] if found else OUTSIDE)


def figures(steps: Sequence[StepWeights], findings: Sequence[FindingRecord] = ()) -> list[Figure]:
    """Two heat maps and two charts of the update rule; none without steps."""
    shown = steps[:MOST_STEPS]
    if not any(step.tensors for step in shown):
        return []
    rules = [_rate(shown, findings), _decay(shown, findings)]
    return [_off(shown), _moved(shown), *(rule for rule in rules if rule.data["found"])]


# ---- heat maps


def _off(steps: Sequence[StepWeights]) -> Figure:
    worst = max((t.off for s in steps for t in s.tensors if finite(t.off)), default=0.0)
    sentence = (
        "L2 distance of each tensor's update from that of a right step from the same state, over the length of the"
        f" right one: 0 is right, 1 is as far off as no update at all. Largest: {told(worst, 3)}."
    )
    levels = _scale("off", lambda t: t.off, _OFF)
    return _heat("off", "How far each tensor's update is off", sentence, steps, lambda t: t.off, levels)


def _moved(steps: Sequence[StepWeights]) -> Figure:
    most = max((t.moved for s in steps for t in s.tensors if finite(t.moved)), default=0.0)
    sentence = f"L2 norm of each tensor's change in a step. Largest: {told(most, 3)}."
    levels = _scale("far", lambda t: t.moved, [most * k / 6 for k in range(1, 6)])
    return _heat("moved", "How far each tensor moved", sentence, steps, lambda t: t.moved, levels)


Value = Callable[[TensorStep], float]


def _scale(palette: str, value: Value, bounds: Sequence[float]) -> Callable[[TensorStep], str]:
    """The shade of a tensor; of what is no number, the last."""

    def shade(tensor: TensorStep) -> str:
        level = bisect.bisect_right(bounds, value(tensor)) if finite(value(tensor)) else len(bounds)
        return f"{palette}{level}"

    return shade


def _heat(
    name: str,
    title: str,
    sentence: str,
    steps: Sequence[StepWeights],
    value: Value,
    level: Callable[[TensorStep], str],
) -> Figure:
    squares = [_square(step, tensor, value(tensor), level(tensor)) for step, tensor in _each(steps)]
    rows = [[str(step.step), tensor.name, told(value(tensor))] for step, tensor in _each(steps)]
    return Figure(
        id=name,
        chart="heat",
        title=title,
        sentence=sentence,
        data={"squares": squares},
        numbers=numbers(["step", "tensor", title.lower()], rows),
        across=len({square["column"] for square in squares}),
    )


def _square(step: StepWeights, tensor: TensorStep, value: float, level: str) -> dict[str, Any]:
    at = place(tensor.name)
    return {
        "part": f"step {step.step}",
        "row": at.row,
        "column": at.column,
        "level": level,
        "text": f"{value:.2g}",
        "exact": told(value),
        "name": tensor.name,
        "place": f"step {step.step}",
    }


def _each(steps: Sequence[StepWeights]) -> Iterator[tuple[StepWeights, TensorStep]]:
    return ((step, tensor) for step in steps for tensor in step.tensors[:MOST_TENSORS])


# ---- the update rule


def _rate(steps: Sequence[StepWeights], findings: Sequence[FindingRecord]) -> Figure:
    """A learning rate that it moved by as if: the finding of the step count or the eps behind it says so."""
    as_if = [f for f in findings if f.code == "update.moments" and _detail(f, "what") in ("step count", "eps")]
    about = [*(f for f in findings if f.code == "update.learning-rate"), *as_if]
    found = [
        _Got(
            step.step,
            t.name,
            t.learning_rate,
            step.learning_rate.right,
            not abs(t.learning_rate - step.learning_rate.right) <= _absolute(step.learning_rate)
            and any(_tells(f, step, t) for f in about),
        )
        for step, t in _each(steps)
    ]
    told_by = as_if if any(got.wrong for got in found) else []
    why = f" So it is because {printable.line(told_by[0].message, MOST_OF_A_CAUSE)}." if told_by else ""
    return _rule("learning-rate", "The learning rate that each tensor got", found, why)


def _absolute(compared: Compared) -> float:
    return compared.tolerance * abs(compared.right)


def _decay(steps: Sequence[StepWeights], findings: Sequence[FindingRecord]) -> Figure:
    """How far a decay may be off is told by the finding of its step."""
    about = [f for f in findings if f.code == "update.weight-decay"]
    found = [
        _Got(
            step.step,
            t.name,
            t.weight_decay,
            t.right_decay,
            any(_tells(f, step, t) and not abs(t.weight_decay - t.right_decay) <= (f.tolerance or 0) for f in about),
        )
        for step, t in _each(steps)
    ]
    return _rule("weight-decay", "The weight decay that each tensor got", found)


def _tells(finding: FindingRecord, step: StepWeights, tensor: TensorStep) -> bool:
    """Whether a finding is of this tensor in this step; one that names no tensors is of all."""
    named = _detail(finding, "tensors")
    return finding.step == step.step and (not isinstance(named, list) or tensor.name in named)


def _detail(finding: FindingRecord, name: str) -> object:
    return (finding.model_extra or {}).get(name)


@dataclass(frozen=True)
class _Got:
    """What one tensor got in one step."""

    step: int
    tensor: str
    value: float
    right: float
    wrong: bool
    """By a finding: no picture finds what the checks do not."""


def _rule(name: str, title: str, found: Sequence[_Got], why: str = "") -> Figure:
    shown = [got for got in found if finite(got.value)]
    right = dict.fromkeys((_short(got.tensor), got.right) for got in found if finite(got.right))
    # From 0, and to no less than a hundredth: what is but rounding is to look like nothing.
    most = max([0.01 if name == "weight-decay" else 0.0, *(got.value for got in shown), *(value for _, value in right)])
    return Figure(
        id=name,
        chart="rule",
        title=title,
        sentence=f"{_sentence(found)}{why}",
        data={
            "found": [_point(got) for got in shown],
            "right": [{"tensor": tensor, "value": value} for tensor, value in right],
            "frame": [{"value": 0.0}, {"value": min(most * 1.1, sys.float_info.max)}],
        },
        numbers=numbers(
            ["step", "tensor", "recovered", "right"],
            [[str(got.step), got.tensor, told(got.value), told(got.right)] for got in found],
            [got.wrong for got in found],
        ),
    )


def _short(tensor: str) -> str:
    return tensor.removeprefix("model.").removesuffix(".weight")


def _point(got: _Got) -> dict[str, Any]:
    return {
        "tensor": _short(got.tensor),
        "step": str(got.step),
        "value": got.value,
        "exact": told(got.value),
        "wrong": got.wrong,
    }


def _sentence(found: Sequence[_Got]) -> str:
    right = sorted({got.right for got in found})
    shown = told(right[0]) if len(right) == 1 else f"{told(right[0])} to {told(right[-1])}"
    least, most = min(got.value for got in found), max(got.value for got in found)
    said = f"Recovered: {told(least)} to {told(most)}. Right, at the strokes: {shown}."
    wrong = len({got.tensor for got in found if got.wrong})
    beyond = f"{wrong} tensor{' is' if wrong == 1 else 's are'} not within the tolerance."
    return f"{said} {beyond}" if wrong else said
