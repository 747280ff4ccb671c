"""What becomes of the end of an epoch, and of the order of the next one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adapters.contract import LastWindow, Scenario, vary
from harness.intent.intent import Drawn
from harness.intent.received import Rows, mended
from harness.judging.diagnosis.wording import at_steps, of_codes
from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Diagnosis, Finding


@dataclass(frozen=True)
class Way:
    """A way to go about the end of an epoch."""

    sentence: str
    scenario: Callable[[Scenario], Scenario]
    """The scenario whose rows are dealt so."""
    windows: Callable[[Scenario], list[list[int]]]
    """The rows of each of its steps."""


def _alike(last_window: LastWindow) -> Callable[[Scenario], Scenario]:
    return lambda scenario: vary(scenario, last_window=last_window)


def _shared(scenario: Scenario) -> Scenario:
    """Without the rows beyond a multiple of the ranks."""
    rows = scenario.data.rows
    return vary(scenario, rows=rows[: len(rows) - len(rows) % scenario.window.ranks])


def _each(scenario: Scenario) -> list[list[int]]:
    return [scenario.step_rows(step) for step in range(scenario.window.steps)] if scenario.dealing.rounds else []


def _added_up(scenario: Scenario) -> list[list[int]]:
    """No step where a window is partial: its rows are in the next step, too."""
    steps: list[list[int]] = []
    waiting: list[int] = []
    for window in range(2 * scenario.window.steps):
        waiting = [*waiting, *scenario.step_rows(window)]
        if scenario.micro_batches(window) == scenario.window.accumulation:
            steps.append(waiting)
            waiting = []
    return steps[: scenario.window.steps]


WAYS: Mapping[str, Way] = {
    "gradient carried over": Way(
        "there is no optimizer step at the end of an epoch: the gradient of its partial window goes into the first step"
        " of the next epoch, on top of that step's own",
        _alike("partial"),
        _added_up,
    ),
    "misaligned": Way(
        "micro-batches are counted over the end of an epoch, so that a window takes the end of one and the begin of the"
        " next",
        _alike("carried"),
        _each,
    ),
    "rows doubled": Way(
        "the first rows of an epoch are trained again at its end, to fill the last window", _alike("filled"), _each
    ),
    "uneven rows lost": Way(
        "the last rows, which the ranks cannot share evenly, are trained in no epoch",
        _shared,
        _each,
    ),
    # After the others: where the order is drawn, any rows can be those of another epoch.
    "rows lost": Way(
        "the rows at the end of an epoch that do not fill a window are not trained", _alike("dropped"), _each
    ),
    "partial": Way(
        "the last rows of an epoch are a step of their own, which they should not be", _alike("partial"), _each
    ),
}


CARRIED = "epoch-end: gradient carried over"


def at_end(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Diagnosis | None:
    """The way to go about the end of an epoch that gives just the rows that every step had; None if none does."""
    own, scenario = of_codes(findings, "inputs.batch"), evidence[0].scenario
    had = {e.step: [c.row for c in e.right.conversations] for e in evidence}
    if not own or scenario is None or scenario.data.packed_length is not None:
        return None
    if scenario.window.last_window == "partial" and not scenario.dealing.uneven:
        return None
    for name, way in WAYS.items():
        if _gives(way, scenario, had):
            line = f"{own[0].message}; {at_steps([f.step for f in own], len(evidence))}"
            return Diagnosis("epoch-end", way.sentence, 1.0, ("inputs.batch",), line, kind=f"epoch-end: {name}")
    return None


def _gives(way: Way, scenario: Scenario, had: Mapping[int, Rows]) -> bool:
    """Whether a way gives the rows that the steps had, by number; where the order is drawn, whether some order does."""
    other = way.scenario(scenario)
    steps = max(had) + 1
    windows = way.windows(other)[:steps]
    if len(windows) < steps:
        return False
    if scenario.data.order != "given":
        drawn = Drawn(len(other.data.rows), other.dealing.trained * scenario.data.rows_per_sequence)
        windows = mended(drawn, [len(window) for window in windows], [had.get(step, []) for step in range(steps)]).steps
    return all(Counter(windows[step]) == Counter(rows) for step, rows in had.items())


_ORDERS = {
    "given": "the rows are not shuffled, though their order is to be drawn",
    "repeated": "every epoch has the same order of rows, which is to be drawn anew for each",
    "ungrouped": "rows are shuffled without regard to their length, though those of about one are to come together",
}


def of_order(findings: Sequence[Finding]) -> list[Diagnosis]:
    """An order that is not drawn, or not anew."""
    own = of_codes(findings, "inputs.order")
    if not own:
        return []
    how = own[0].detail["order"]
    return [Diagnosis("epoch-order", _ORDERS[how], 1.0, ("inputs.order",), own[0].message, kind=f"epoch-order: {how}")]
