"""What a plan of the reference makes of the rows of several datasets. Standard library only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from adapters.contract import Scenario, vary

Datasets = Sequence[range]


def _lacking(datasets: Datasets) -> list[int]:
    return [row for number, rows in enumerate(datasets) if number != 1 for row in rows]


def _doubling(datasets: Datasets) -> list[int]:
    return [row for number, rows in enumerate(datasets) for row in [*rows] * (1 + (number == 1))]


def _in_turn(datasets: Datasets) -> list[int]:
    return [row for together in zip(*datasets, strict=False) for row in together]


MIXED: Mapping[str, Callable[[Datasets], list[int]]] = {
    "lacking": _lacking,
    "doubling": _doubling,
    "in-turn": _in_turn,
}
"""The rows of an epoch, of the rows of each dataset."""


def mixed(scenario: Scenario, how: str) -> list[int]:
    """The rows of an epoch as planned (`adapters.plan.Plan.mixture`): indices into the scenario's."""
    right = list(range(len(scenario.data.rows)))
    return right if how not in MIXED or hidden(scenario, how) else MIXED[how](scenario.data.datasets)


def hidden(scenario: Scenario, how: str) -> str | None:
    """Why such a mixture cannot be seen, or is none that is planted; None where it can."""
    if not scenario.data.parts[1:]:
        return "there is one dataset"
    if scenario.data.mixing != "concatenated":
        return "rows are taken from the datasets in turn"
    if scenario.data.packs or scenario.window.resume_after:
        return "datasets are mixed wrongly in one piece and unpacked alone"
    rows = MIXED[how](scenario.data.datasets)
    if not _alone(scenario, rows).dealing.rounds:
        return "no step has rows then"
    if scenario.data.order == "given":
        return None if _seen(scenario, rows) else "training ends before the rows are others than they should be"
    return None if _whole(scenario, rows) else "training ends within an epoch of a drawn order"


def in_turn(scenario: Scenario) -> str | None:
    """Why datasets that are put one behind the other cannot be seen, or are right; None where they can."""
    if scenario.data.mixing == "concatenated":
        return "datasets are one behind the other as it is"
    other = vary(scenario, mixing="concatenated")
    seen = other.dealing.steps(scenario.data.epochs) >= scenario.window.steps and any(
        Counter(other.step_rows(step)) != Counter(scenario.step_rows(step)) for step in range(scenario.window.steps)
    )
    return None if seen else "training ends before the rows are others than they should be"


def _alone(scenario: Scenario, rows: Sequence[int]) -> Scenario:
    """With these rows, as one dataset."""
    return vary(scenario, rows=tuple(scenario.data.rows[i] for i in rows), parts=())


def _seen(scenario: Scenario, rows: Sequence[int]) -> bool:
    """Whether some step has other rows by it."""
    other = _alone(scenario, rows)
    return any(
        Counter(rows[place] for place in other.step_rows(step)) != Counter(scenario.step_rows(step))
        for step in range(scenario.window.steps)
    )


def _whole(scenario: Scenario, rows: Sequence[int]) -> bool:
    """Whether the run has an epoch of them, and of the right ones, and these are others."""
    trained = sum(len(scenario.step_rows(step)) for step in range(scenario.window.steps))
    same = Counter(rows) == Counter(range(len(scenario.data.rows)))
    return trained >= max(len(rows), len(scenario.data.rows)) and not same
