"""Two runs of one release held against each other: whether a relation holds, and how far apart they are if not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.contract import Scenario
from harness.across import groups
from harness.across.compare import TOLERANCES, Comparison, NotComparable, StepGap, Tolerance, compare
from harness.across.view import kept, snapshots
from harness.relations.pairs import Pair, differing
from harness.relations.record import PairRecord, SideRecord, State, StepRecord
from harness.traces import reader
from harness.traces.reader import IncompleteTrace, Trace
from harness.traces.text_files import UnreadableTrace
from harness.verdicts.verdict import CellRecord

WORST = 3
"""Tensors that are told."""


def held(pair: Pair, cells: tuple[CellRecord, CellRecord], folder: Path) -> PairRecord:
    """The pair as it came out. `folder`: of the run, which the cells' traces lie in."""
    record = unheld(pair, cells[0].framework, cells[0].version, cells, "unknown")
    if (why := next((c for c in cells if c.verdict == "unsupported"), None)) is not None:
        return record.model_copy(update={"state": "unsupported", "reason": why.reason})
    try:
        one, other = (_whole(cell, side, folder) for cell, side in zip(cells, pair.sides, strict=True))
        found = compare(snapshots(one), snapshots(other), kept(pair.sides[0]), _tolerance(pair))
    except (_Incomplete, NotComparable, UnreadableTrace) as error:
        return record.model_copy(update={"state": "unknown", "reason": str(error)})
    return record.model_copy(update=_told(found, one, other))


def unheld(
    pair: Pair,
    framework: str,
    version: str,
    cells: tuple[CellRecord | None, CellRecord | None],
    state: State,
    reason: str | None = None,
) -> PairRecord:
    """The pair before anything is compared: nothing can be said of it yet, or at all."""
    one, other = pair.sides
    told = differing(one, other)
    sides = [
        _side(side, {path: _plain(values[at]) for path, values in told.items()}, cell)
        for at, (side, cell) in enumerate(zip(pair.sides, cells, strict=True))
    ]
    return PairRecord(
        relation=pair.relation.name,
        framework=framework,
        version=version,
        base=pair.base.name,
        sides=(sides[0], sides[1]),
        state=state,
        reason=reason,
    )


class _Incomplete(Exception):
    """A side that is not there as a whole; the message is one line."""


def _side(side: Scenario, settings: Mapping[str, Any], cell: CellRecord | None) -> SideRecord:
    if cell is None:
        return SideRecord(scenario=side.name, settings=dict(settings))
    return SideRecord(
        scenario=side.name,
        settings=dict(settings),
        cell=cell.name,
        verdict=cell.verdict,
        causes=[diagnosis.summary for diagnosis in cell.diagnoses],
        trace=cell.trace,
        command=cell.command,
    )


def _plain(value: Any) -> Any:
    """As JSON; of rows, how many."""
    rows = isinstance(value, tuple) and value and isinstance(value[0], tuple)
    return f"{len(value)} rows" if rows else value


def _whole(cell: CellRecord, side: Scenario, folder: Path) -> Trace:
    """Its trace, which holds every step. Raises _Incomplete and UnreadableTrace."""
    if cell.trace is None:
        raise _Incomplete(f"{side.name}: {cell.reason or 'it left no trace'}")
    try:
        trace = reader.read(folder / cell.trace)
    except IncompleteTrace as error:
        raise _Incomplete(f"{side.name}: {cell.reason or error}") from None
    return trace


def _tolerance(pair: Pair) -> Tolerance:
    """Both sides compute alike."""
    return TOLERANCES[pair.sides[0].precision.compute]


def _told(found: Comparison, one: Trace, other: Trace) -> dict[str, Any]:
    wanted, short = one.scenario.window.steps, max(one.steps, other.steps)
    limit = found.tolerance
    told = {
        "steps": list(_steps(found)),
        "allowed": f"{limit.gradient:g} of the gradient, {limit.drift:g} of the way moved and {limit.length:g} of its"
        f" length: {limit.source}",
    }
    parted = groups.parted(found)
    if parted is None and short < wanted:
        return told | {"state": "unknown", "reason": f"both runs ended after {short} of {wanted} steps"}
    if parted is None:
        return told | {"state": "holds"}
    return told | {"state": "broken", "parted": parted, "worst": _worst(found, parted)}


def _steps(found: Comparison) -> Iterator[StepRecord]:
    for step in found.steps:
        gradient = step.gradient
        yield StepRecord(
            step=step.step,
            gradients=None if gradient is None else (gradient.first, gradient.second),
            gradient=None if gradient is None else gradient.relative,
            ways=(step.added.first, step.added.second),
            drift=step.drift,
        )


def _worst(found: Comparison, parted: int) -> list[str]:
    if found.lonely:
        return [f"{name}: in one run alone, or of another shape" for name in found.lonely[:WORST]]
    step: StepGap | None = next((s for s in found.steps if s.step == parted), None)
    if step is None:
        return [f"only one of the runs has step {parted}"]
    gap = step.gradient or step.added
    return [f"{t.name}: {t.relative:.2e} of its norm" for t in gap.tensors[:WORST] if t.distance > 0]
