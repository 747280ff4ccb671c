"""One scenario across the frameworks of a run: who made the same update, who was fed the same, who weighed what how."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness import batch, compare, groups, weighed
from harness import trace as traces
from harness.compare import NotComparable, Snapshot
from harness.groups import Grouping
from harness.trace import IncompleteTrace, Trace, UnreadableTrace
from harness.verdict import CellRecord, DistanceRecord, GroupRecord, RowRecord, Side, ViewRecord
from harness.weighed import ConversationWeights, StepWeights

UPDATE_CODES = ("weights.", "update.", "state.", "numerics.")
"""What a finding's code begins with if it is of the update itself, not of inputs or of what is reported."""


def views(cells: Sequence[CellRecord], folder: Path) -> list[ViewRecord]:
    """A view of every scenario that several cells have a whole trace of."""
    result = []
    for (scenario, seed), alike in _by_scenario(cells):
        read = {cell.name: trace for cell in alike if (trace := _trace(cell, folder))}
        if len(read) < 2:
            continue
        try:
            result.append(view(scenario, seed, [c for c in alike if c.name in read], read))
        except Exception as error:  # noqa: BLE001  one scenario's strange traces must not take the others' views along
            reason = f"cannot be compared: {type(error).__name__}: {error}".splitlines()[0]
            result.append(ViewRecord(scenario=scenario, seed=seed, reason=reason))
    return result


def _by_scenario(cells: Iterable[CellRecord]) -> Iterable[tuple[tuple[str, int], list[CellRecord]]]:
    found: dict[tuple[str, int], list[CellRecord]] = {}
    for cell in cells:
        found.setdefault((cell.scenario, cell.seed), []).append(cell)
    return found.items()


def _trace(cell: CellRecord, folder: Path) -> Trace | None:
    if cell.trace is None:
        return None
    try:
        return traces.read(folder / cell.trace)
    except (UnreadableTrace, IncompleteTrace):
        return None


def snapshots(trace: Trace) -> list[Snapshot]:
    """The states of a run, the first before any step. Raises UnreadableTrace."""
    return [
        Snapshot(trace.state(step, "param"), trace.state(step, "exp_avg") if step else {})
        for step in range(trace.steps + 1)
    ]


def view(scenario: str, seed: int, cells: Sequence[CellRecord], read: Mapping[str, Trace]) -> ViewRecord:
    """The view of one scenario; `read` holds the trace of every cell."""
    first = next(iter(read.values())).scenario
    usable = {name: states for name, trace in read.items() if (states := _comparable(trace))}
    found = groups.group(usable, first.optimizer.beta1, compare.TOLERANCES[first.precision])
    by_name = {cell.name: cell for cell in cells}
    recorded = [_group([by_name[name] for name in members]) for members in found.groups]
    parted = min((groups.parted(d.comparison) or 0 for d in found.distances), default=0)
    leaders = [members[0] for members in found.groups]
    return ViewRecord(
        scenario=scenario,
        seed=seed,
        groups=recorded,
        majority=groups.majority([g.votes for g in recorded]),
        distances=list(_distances(found)),
        rows=_rows([_step(read[name], max(0, parted)) for name in leaders]) if len(leaders) > 1 else [],
        inputs=_alike({name: _inputs(trace) for name, trace in read.items()}),
    )


def _comparable(trace: Trace) -> list[Snapshot]:
    try:
        return snapshots(trace)
    except (UnreadableTrace, NotComparable):
        return []


def _group(cells: Sequence[CellRecord]) -> GroupRecord:
    return GroupRecord(
        members=[cell.name for cell in cells], votes=len({cell.framework for cell in cells}), side=_side(cells)
    )


def _side(cells: Sequence[CellRecord]) -> Side:
    codes = {finding.code for cell in cells for finding in cell.findings}
    if any(cell.verdict == "unknown" for cell in cells) or any(code.startswith("run.") for code in codes):
        return "unjudged"
    if any(code.startswith("inputs.") for code in codes):
        return "fed otherwise"
    return "wrong" if any(code.startswith(UPDATE_CODES) for code in codes) else "right"


def _distances(found: Grouping) -> Iterator[DistanceRecord]:
    for distance in found.distances:
        comparison = distance.comparison
        parted = groups.parted(comparison) or 0
        step = comparison.steps[max(0, parted)]
        last = comparison.steps[-1]
        yield DistanceRecord(
            first=distance.first,
            second=distance.second,
            parted=parted,
            gradient=step.gradient_distance,
            parameters=last.parameters.distance,
            drift=last.drift,
        )


# ---- inputs


def _inputs(trace: Trace) -> Hashable:
    """What the global batches of a run held, wherever each conversation was put."""
    batches = [[b for b in trace.batches if b.step == step] for step in range(trace.steps)]
    found = [batch.conversations(trace.scenario, b) for b in batches]
    return tuple(
        frozenset(Counter((c.ids, c.marked or c.trained, c.positions or _counting(c.ids)) for c in step).items())
        for step in found
    )


def _counting(ids: Sequence[int]) -> tuple[int, ...]:
    """The positions that a model gives by itself."""
    return tuple(range(len(ids)))


def _alike(signatures: Mapping[str, Hashable]) -> list[list[str]]:
    found: dict[Hashable, list[str]] = {}
    for name, signature in signatures.items():
        found.setdefault(signature, []).append(name)
    return sorted(found.values(), key=len, reverse=True)


# ---- weights


def _step(trace: Trace, number: int) -> StepWeights | None:
    return next((step for step in weighed.read(trace.folder) if step.step == number), None)


def _rows(steps: Sequence[StepWeights | None]) -> list[RowRecord]:
    """Rows that not every group gave the same weights, each group told by its first run."""
    known = [step for step in steps if step is not None]
    if len(known) < 2:
        return []
    tolerance = max(step.tolerance for step in known)
    of = [_by_row(step, tolerance) for step in steps]
    numbers = sorted({row for spans in of for row in spans})
    found = [RowRecord(step=known[0].step, row=row, spans=[spans.get(row) for spans in of]) for row in numbers]
    return [record for record in found if not _same(record.spans, tolerance)]


def _by_row(step: StepWeights | None, tolerance: float) -> dict[int, list[tuple[int, int, float]]]:
    if step is None:
        return {}
    return {c.row: _spans(c, tolerance) for c in step.conversations if c.row is not None}


def _spans(conversation: ConversationWeights, tolerance: float) -> list[tuple[int, int, float]]:
    """Stretches of tokens of one weight: first and last position in the conversation, and the mean."""
    spans: list[list[tuple[int, float]]] = []
    for position, weight in enumerate(conversation.weights, start=1):
        if spans and abs(weight - spans[-1][0][1]) <= 2 * tolerance:
            spans[-1].append((position, weight))
        else:
            spans.append([(position, weight)])
    means = [(s[0][0], s[-1][0], sum(w for _, w in s) / len(s)) for s in spans]
    return [(first, last, mean) for first, last, mean in means if abs(mean) > tolerance]


def _same(spans: Sequence[Sequence[tuple[int, int, float]] | None], tolerance: float) -> bool:
    known = [s for s in spans if s is not None]
    return all(_equal(a, b, tolerance) for a, b in itertools.pairwise(known))


def _equal(a: Sequence[tuple[int, int, float]], b: Sequence[tuple[int, int, float]], tolerance: float) -> bool:
    return len(a) == len(b) and all(
        x[:2] == y[:2] and abs(x[2] - y[2]) <= 2 * tolerance for x, y in zip(a, b, strict=True)
    )
