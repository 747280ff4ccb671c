"""What a trace holds around one optimizer step, as tensors that the oracle can work with."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.contract import SQUARES, STATE, Compute
from harness.intent.intent import Intent, Rule
from harness.oracle import floor
from harness.oracle.basis import flatten
from harness.oracle.floor import State
from harness.oracle.forward import Parameters
from harness.oracle.observe import Moments
from harness.oracle.step import DTYPES
from harness.oracle.update import TensorState
from harness.traces.reader import Trace, non_finite
from harness.traces.text_files import Reported, UnreadableTrace


class NonFinite(Exception):
    """A recorded tensor holds a NaN or an infinity; the message says which."""


@dataclass(frozen=True)
class RecordedStep:
    """One optimizer step as it was recorded. Nothing here is worked out by the oracle."""

    number: int
    """From 0."""
    before: State
    """Parameters and moments before the step."""
    states: dict[str, TensorState]
    """By tensor that is trained: parameters before and after the step, moments after it."""
    frozen_moved: Mapping[str, Tensor]
    """By tensor that is not to be trained and is another after the step: by how much, float64."""
    moments: Moments
    """Adam's moments around the step, all tensors flattened into one."""
    told: tuple[Reported, ...]
    """What the framework told of the step, rank by rank."""
    rank_distance: Mapping[int, tuple[str, float]]
    """For every other rank whose parameters differ from rank 0's after the step: the tensor that differs most, and its
    distance."""
    rank_distance_before: Mapping[int, tuple[str, float]]
    """The same before the first step; empty at later ones, which begin where the one before them ended."""
    stayed: frozenset[int] = frozenset()
    """The ranks whose parameters the step left as they were, to the bit."""
    skipped: int = 0
    """Steps before this one that changed nothing, where a step may: see `still`."""
    past: tuple[Parameters, ...] = ()
    """Parameters before each of the steps up to this one, itself included."""

    @property
    def earlier(self) -> Parameters | None:
        """Parameters before the step before."""
        return self.past[-2] if len(self.past) > 1 else None

    def under(self, intent: Intent) -> RecordedStep:
        """The same step, of parameters that should be kept in the intended dtype (see `TensorState.unit`; not in the
        recorded one: else what is kept too coarsely would excuse itself), and whose gradients hold the intended decay,
        where that is part of them. Where squares alone are held, with the gradient that they tell."""
        unit = floor.unit(intent)
        step = replace(
            self,
            states={n: replace(state, unit=unit) for n, state in self.states.items()},
            moments=floor.undecayed(self.moments, self.before, intent),
        )
        return step.told_by(intent.rule)

    def told_by(self, rule: Rule) -> RecordedStep:
        """The same step with the gradient that its squares tell by a rule; itself where there is more than these."""
        if not rule.holds_squares:
            return self
        after, second = ({n: part(s) for n, s in self.states.items()} for part in (_AFTER, _SECOND))
        told = floor.told_by_squares(self.before, after, second, rule)
        states = {n: replace(state, first=told[n]) for n, state in self.states.items()}
        return replace(self, states=states, moments=replace(self.moments, first=flatten(told)))

    @property
    def still(self) -> bool:
        """Whether the step changed nothing on any rank, neither parameters nor moments."""
        same = torch.equal(self.moments.first, self.moments.first_before)
        ranks = len(self.told)
        return len(self.stayed) == ranks and same and torch.equal(self.moments.second, self.moments.second_before)

    @property
    def reported(self) -> Reported:
        """What rank 0 told: the first who is asked."""
        return self.told[0]


_AFTER = operator.attrgetter("after")
_SECOND = operator.attrgetter("second")


def recorded_steps(trace: Trace) -> Iterator[RecordedStep]:
    """Every step whose gradient belongs to one model: none after one that left the ranks with different parameters.

    Raises UnreadableTrace.
    """
    may_skip, skipped = trace.scenario.precision.compute == "fp16", 0
    past: tuple[Parameters, ...] = ()
    for number in range(trace.steps):
        before = _before(trace, number)
        past = (*past, before.parameters)
        step = RecordedStep(
            number=number,
            before=before,
            states=_states(trace, number),
            frozen_moved=_frozen_moved(trace, number),
            moments=_moments(trace, number),
            told=tuple(lines[number] for lines in trace.reported if number < len(lines)),
            rank_distance=_rank_distance(trace, number + 1),
            rank_distance_before=_rank_distance(trace, 0) if number == 0 else {},
            stayed=_stayed(trace, number),
            skipped=skipped,
            past=past,
        )
        yield step
        skipped += may_skip and step.still
        if step.rank_distance or step.rank_distance_before:
            return


def check_states(trace: Trace) -> None:
    """Raises NonFinite if a number of any rank is none, and UnreadableTrace if one cannot be what it is said to be."""
    for rank in range(trace.header.ranks):
        own = trace.scenario.window.steps_of(rank, trace.steps)
        for step in range(own + 1):
            if bad := non_finite(trace.tensors(step, rank)):
                of_rank = f" of rank {rank}" if rank else ""
                raise NonFinite(f"{bad}{of_rank} holds a NaN or an infinity after step {step}")
            kind = SQUARES.get(trace.scenario.optimizer.kind, "exp_avg_sq")
            squares = trace.state(step, kind, rank)
            if bad := next((name for name, t in sorted(squares.items()) if bool((t < 0).any())), None):
                what = "sum" if kind == "sum" else "mean"
                raise UnreadableTrace(
                    f"{kind}/{bad} after step {step} holds a {what} of squares below 0; record it again"
                )
        for step in range(own):
            states = {f"micro-batch {number}": t for number, t in (trace.hidden(step, rank) or {}).items()}
            found = trace.embedded(step, rank)
            embedded = {f"micro-batch {number}": t for number, t in found[0].items()} if found else {}
            if bad := non_finite(embedded):
                raise NonFinite(
                    f"what was given of the embedding in {bad} of rank {rank} at step {step} holds a NaN or an infinity"
                )
            if bad := non_finite(states):
                raise NonFinite(
                    f"what the output head was given in {bad} of rank {rank} at step {step} holds a NaN or an infinity"
                )


def _before(trace: Trace, step: int) -> State:
    parameters = trace.state(step, "param")
    zeros = {n: torch.zeros_like(p) for n, p in parameters.items() if trace.scenario.model.trains(n)}
    first, second = _names(trace)
    return State(parameters, trace.state(step, first) or zeros, trace.state(step, second) or zeros)


def _names(trace: Trace) -> tuple[str, str]:
    """What the trace calls the first and the second moment; of one that the optimizer has not, nothing is found, and it
    is taken as 0."""
    kind = trace.scenario.optimizer.kind
    if kind in SQUARES:
        return "none", SQUARES[kind]
    first, *second = STATE[kind]
    return first, second[0] if second else "none"


def _moments(trace: Trace, step: int) -> Moments:
    def flat(at: int, kind: str) -> Tensor:
        state = trace.state(at, kind)
        return flatten(state or _before(trace, 0).first)

    found = (flat(at, kind) for kind in _names(trace) for at in (step, step + 1))
    return Moments(*found, summed=trace.scenario.optimizer.kind != "adamw")


def _states(trace: Trace, step: int) -> dict[str, TensorState]:
    before, after = trace.state(step, "param"), trace.state(step + 1, "param")
    earlier = _before(trace, step)
    first, second = (trace.state(step + 1, name) for name in _names(trace))
    first, second = first or _nothing(second), second or _nothing(first)

    def of(name: str) -> TensorState:
        each = (t[name].double() for t in (before, after, first, second))
        ahead = earlier.first[name].double()
        return TensorState(*each, first_before=ahead, second_before=earlier.second[name].double())

    return {n: of(n) for n in sorted(first)}


def _nothing(like: Parameters) -> dict[str, Tensor]:
    return {n: torch.zeros_like(t) for n, t in like.items()}


def _frozen_moved(trace: Trace, step: int) -> dict[str, Tensor]:
    before, after = trace.state(step, "param"), trace.state(step + 1, "param")
    fixed = [name for name in before if not trace.scenario.model.trains(name)]
    return {n: after[n].double() - before[n].double() for n in fixed if not torch.equal(before[n], after[n])}


def _rank_distance(trace: Trace, step: int) -> dict[int, tuple[str, float]]:
    """After `step` steps."""
    mine = trace.state(step, "param")
    result = {}
    for rank in range(1, trace.scenario.window.ranks_at(max(step - 1, 0))):
        theirs = trace.state(step, "param", rank)
        far = {n: _distance(mine[n], theirs[n], trace.scenario.precision.compute) for n in mine}
        worst = max(far, key=lambda n: far[n])
        if far[worst] > 0:
            result[rank] = (worst, far[worst])
    return result


def _stayed(trace: Trace, step: int) -> frozenset[int]:
    """Ranks whose parameters step `step` left as they were."""

    def same(rank: int) -> bool:
        before, after = trace.state(step, "param", rank), trace.state(step + 1, "param", rank)
        return all(torch.equal(before[n], after[n]) for n in before)

    return frozenset(rank for rank in range(trace.scenario.window.ranks_at(step)) if same(rank))


def _distance(one: Tensor, other: Tensor, precision: Compute) -> float:
    """L2. In a run that computes in a coarse dtype one rank may tell its master weights, another the rounded copy."""
    coarse = DTYPES[precision]
    if precision != "fp32" and coarse in (one.dtype, other.dtype):
        one, other = one.to(coarse), other.to(coarse)
    return float((one.double() - other.double()).norm())
