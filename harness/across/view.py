"""One scenario across the frameworks of a run: who made the same update, who was fed the same, who weighed what how."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from adapters.contract import SQUARES, STATE, Scenario
from harness.across import compare, groups
from harness.across.compare import Snapshot, State
from harness.across.groups import Grouping
from harness.environments import recipes
from harness.traces import batch, reader, recovered_numbers, squares
from harness.traces.reader import IncompleteTrace, Trace
from harness.traces.recovered_numbers import ConversationWeights, StepWeights
from harness.traces.text_files import UnreadableTrace
from harness.verdicts.verdict import CellRecord, DistanceRecord, GroupRecord, RowRecord, Side, ViewRecord

UPDATE_CODES = ("weights.", "update.", "state.", "numerics.")
"""What a finding's code begins with if it is of the update itself, not of inputs or of what is reported."""


def views(cells: Sequence[CellRecord], folder: Path) -> list[ViewRecord]:
    """A view of every scenario that several cells have a trace of."""
    result = []
    for alike in _by_scenario(cells, folder):
        (first, _), *others = alike
        if not others:
            continue
        try:
            result.append(view(first.scenario, first.seed, alike))
        except Exception as error:  # noqa: BLE001  one scenario's strange traces must not take the others' views along
            reason = f"cannot be compared: {type(error).__name__}: {error}".splitlines()[0]
            result.append(ViewRecord(scenario=first.scenario, seed=first.seed, reason=reason))
    return result


Recorded = tuple[CellRecord, Trace]


def _by_scenario(cells: Iterable[CellRecord], folder: Path) -> Iterable[list[Recorded]]:
    """Cells with their traces; a run that was resumed may hold two scenarios of one name."""
    found: dict[tuple[str, int, str], list[Recorded]] = {}
    for cell in cells:
        if (trace := _trace(cell, folder)) is not None:
            found.setdefault((cell.scenario, cell.seed, trace.scenario.hash), []).append((cell, trace))
    return found.values()


def _trace(cell: CellRecord, folder: Path) -> Trace | None:
    if cell.trace is None:
        return None
    try:
        return reader.read(folder / cell.trace)
    except (UnreadableTrace, IncompleteTrace):
        return None


def snapshots(trace: Trace) -> list[Snapshot]:
    """The states of a run, the first before any step. Raises UnreadableTrace."""
    optimizer = trace.scenario.optimizer
    first, summed = STATE[optimizer.kind][0], optimizer.kind == "sgd"

    def moments(step: int) -> State:
        if optimizer.kind in SQUARES:
            return _told(trace, step) if step else {}
        held = trace.state(step, first) if step else {}
        return {n: (1.0 - optimizer.momentum) * m.double() for n, m in held.items()} if summed else held

    return [Snapshot(trace.state(step, "param"), moments(step)) for step in range(trace.steps + 1)]


def _told(trace: Trace, step: int) -> State:
    """The gradient of the step before, as squares tell it, as a moment of nothing else."""
    optimizer = trace.scenario.optimizer
    name, alpha = SQUARES[optimizer.kind], optimizer.alpha
    now, before = trace.state(step, name), trace.state(step - 1, name)
    before = before or {n: torch.zeros_like(t) for n, t in now.items()}
    shares = (1.0, 1.0) if optimizer.kind == "adagrad" else (alpha, 1.0 - alpha)
    return squares.gradients((trace.state(step - 1, "param"), trace.state(step, "param")), (before, now), *shares)


def kept(scenario: Scenario) -> float:
    """Share of the first moment that a step keeps; SGD's sum is made a mean of by `snapshots`."""
    if scenario.optimizer.kind in SQUARES:
        return 0.0
    return scenario.optimizer.momentum if scenario.optimizer.kind == "sgd" else scenario.optimizer.beta1


def view(scenario: str, seed: int, recorded: Sequence[Recorded]) -> ViewRecord:
    """The view of one scenario, which all these traces are of. Raises NotComparable if two share no tensor."""
    read = {cell.name: trace for cell, trace in recorded}
    whole = {name: states for name, trace in read.items() if (states := _whole(trace))}
    left_out = [name for name in read if name not in whole]
    if len(whole) < 2:
        reason = f"not two runs hold all {recorded[0][1].scenario.window.steps} optimizer steps"
        return ViewRecord(scenario=scenario, seed=seed, reason=reason, left_out=left_out)
    first = recorded[0][1].scenario
    by_name = {cell.name: cell for cell, _ in recorded}

    def votes(names: Sequence[str]) -> int:
        return len({recipes.shipped().family(by_name[name].framework) for name in names})

    found = groups.group(whole, kept(first), compare.TOLERANCES[first.precision.compute], votes)
    kinds = [_group([by_name[name] for name in members], votes(members)) for members in found.groups]
    parted = min((groups.parted(d.comparison) or 0 for d in found.distances), default=0)
    leaders = [members[0] for members in found.groups]
    steps = [_step(read[name], max(0, parted)) for name in leaders] if len(leaders) > 1 else []
    inputs = {name: [_inputs(read[name], step) for step in range(first.window.steps)] for name in whole}
    alike = sorted(_alike(inputs), key=lambda names: (-votes(names), -len(names)))
    return ViewRecord(
        scenario=scenario,
        seed=seed,
        groups=kinds,
        majority=groups.majority([g.votes for g in kinds]),
        distances=list(_distances(found)),
        rows=_rows([step if step and step.tells else None for step in steps]),
        inputs=alike,
        inputs_majority=groups.majority([votes(names) for names in alike]) if len(alike) > 1 else None,
        masks_unseen=[name for name, steps in inputs.items() if any(step.marks is None for step in steps)],
        left_out=left_out,
        weights_untold=[name for name, step in zip(leaders, steps, strict=False) if step and not step.tells],
    )


def _whole(trace: Trace) -> list[Snapshot]:
    """The states of a run that holds all its steps and their moments; none of any other."""
    try:
        states = snapshots(trace) if trace.steps == trace.scenario.window.steps else []
    except (UnreadableTrace, IncompleteTrace):
        return []
    return states if all(state.moments for state in states[1:]) else []


def _group(cells: Sequence[CellRecord], votes: int) -> GroupRecord:
    return GroupRecord(members=[cell.name for cell in cells], votes=votes, side=_side(cells))


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


@dataclass(frozen=True)
class Inputs:
    """What a global batch held, wherever each conversation was put."""

    fed: Hashable
    """Token ids and positions."""
    marks: Hashable | None
    """The tokens that were marked for training as well; None where no model was handed the marks."""

    def agree(self, other: Inputs) -> bool:
        """Whether nothing that both show differs."""
        return self.fed == other.fed and (self.marks is None or other.marks is None or self.marks == other.marks)


def _inputs(trace: Trace, step: int) -> Inputs:
    found = batch.conversations(trace.scenario, [b for b in trace.batches if b.step == step])
    # The first token has no prediction, so its mark says nothing.
    marks = None if any(c.marked is None for c in found) else _counted((c.ids, (c.marked or ())[1:]) for c in found)
    return Inputs(_counted((c.ids, c.positions or tuple(range(len(c.ids)))) for c in found), marks)


def _counted(values: Iterable[Hashable]) -> Hashable:
    return frozenset(Counter(values).items())


def _alike(inputs: Mapping[str, Sequence[Inputs]]) -> list[list[str]]:
    """Runs that were fed alike, as far as each shows."""
    found: list[list[str]] = []
    # Those that show their marks first, or two that differ in them could meet in one that does not.
    for name in sorted(inputs, key=lambda n: any(step.marks is None for step in inputs[n])):
        pairs = ((home, zip(inputs[home[0]], inputs[name], strict=True)) for home in found)
        home = next((home for home, steps in pairs if all(a.agree(b) for a, b in steps)), None)
        if home is None:
            found.append([name])
        else:
            home.append(name)
    return found


# ---- weights


def _step(trace: Trace, number: int) -> StepWeights | None:
    return next((step for step in recovered_numbers.read(trace.folder) if step.step == number), None)


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
        if math.isnan(weight):  # it cannot be told
            continue
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
