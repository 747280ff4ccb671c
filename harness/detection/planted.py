"""Faults planted in the reference: which of them a set of scenarios finds, and by how few of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from adapters.contract import Scenario
from adapters.faults import Fault
from harness.detection.record import CellResult, FoundRecord, OutcomeRecord, SetRecord
from harness.fuzzing.cells import Planted

Run = Callable[[Sequence[Planted]], list[CellResult]]
"""Runs cells, and gives their results in the same order."""


@dataclass
class _Sought:
    """A fault that is looked for."""

    fault: Fault
    acts: set[str]
    """Scenarios in which it acts, by its own declaration."""
    hidden: Counter[str]
    left: set[str]
    """Of those in which it acts, not tried yet."""
    found: FoundRecord | None = None
    passed: int = 0
    unknown: int = 0
    reason: str | None = None

    @property
    def outcome(self) -> OutcomeRecord:
        return OutcomeRecord(
            cells=len(self.acts),
            tried=len(self.acts) - len(self.left),
            found=self.found,
            hidden=dict(self.hidden),
            instead={"pass": self.passed} if self.passed else {},
            unknown=self.unknown,
            reason=self.reason,
        )

    def look(self, cell: CellResult) -> None:
        """Take in a cell with the fault."""
        self.left.discard(cell.scenario)
        if cell.verdict == "fail":
            self.found = _found(cell, self.fault)
        elif cell.verdict == "pass":
            self.passed += 1
        else:
            self._lost(cell.reason)

    def leave_out(self, control: CellResult) -> None:
        """Nothing can be told by a scenario that is not right without any fault."""
        self.left.discard(control.scenario)
        self._lost(f"without the fault {control.scenario} is {control.verdict}")

    def _lost(self, reason: str | None) -> None:
        self.unknown += 1
        self.reason = reason


def detect(
    scenarios: Sequence[Scenario], faults: Sequence[Fault], run: Run
) -> tuple[SetRecord, dict[str, OutcomeRecord]]:
    """Go through the scenarios, each time to the one in which most of what is not found yet acts, until all is found or
    tried everywhere.

    Each scenario is run without a fault first: where that is no pass, nothing is planted in it.
    """
    by_name = {scenario.name: scenario for scenario in scenarios}
    sought = [_sought(fault, scenarios) for fault in faults]
    clean: Counter[str] = Counter()
    chosen: list[str] = []
    while (name := _most(sought, by_name)) is not None:
        scenario = by_name[name]
        there = [one for one in sought if one.found is None and name in one.left]
        [control] = run([(scenario, None)])
        clean[control.verdict] += 1
        if control.verdict != "pass":
            for one in there:
                one.leave_out(control)
            continue
        for one, cell in zip(there, run([(scenario, one.fault.name) for one in there]), strict=True):
            one.look(cell)
        chosen += [name] if any(one.found is not None for one in there) else []
    told = SetRecord(cells=len(scenarios), clean=dict(clean), chosen=tuple(chosen))
    return told, {one.fault.name: one.outcome for one in sought}


def _sought(fault: Fault, scenarios: Sequence[Scenario]) -> _Sought:
    reasons = {scenario.name: fault.hidden(scenario) for scenario in scenarios}
    acts = {name for name, why in reasons.items() if why is None}
    return _Sought(fault, acts, Counter(why for why in reasons.values() if why is not None), set(acts))


def _most(sought: Sequence[_Sought], names: Iterable[str]) -> str | None:
    """The scenario in which most of what is not found yet was not tried; of equals the first."""
    counts = Counter(name for one in sought if one.found is None for name in one.left)
    return max(names, key=lambda name: counts[name]) if counts else None


def _found(cell: CellResult, fault: Fault) -> FoundRecord:
    named = [cause.cause for cause in cell.causes] == [fault.cause]
    return FoundRecord(
        scenario=cell.scenario, codes=cell.codes, kinds=tuple(cause.kind for cause in cell.causes), named=named
    )
