"""What a trace holds around one optimizer step, as tensors that the oracle can work with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.basis import flatten
from harness.oracle.floor import State
from harness.oracle.observe import Moments
from harness.oracle.update import TensorState
from harness.traces.reader import IncompleteTrace, Trace, non_finite
from harness.traces.text_files import Reported
from scenarios import weights as shapes


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
    """By tensor: parameters before and after the step, moments after it."""
    moments: Moments
    """Adam's moments around the step, all tensors flattened into one."""
    reported: Reported | None
    """What the framework told of the step."""
    rank_distance: dict[int, tuple[str, float]]
    """For every other rank whose parameters differ from rank 0's: the tensor that differs most, and its distance."""


def recorded_steps(trace: Trace) -> Iterator[RecordedStep]:
    """Every step whose gradient belongs to one model: none after one that left the ranks with different parameters.

    Raises UnreadableTrace.
    """
    reported = {r.step: r for r in trace.reported}
    for number in range(trace.steps):
        step = RecordedStep(
            number=number,
            before=_before(trace, number),
            states=_states(trace, number),
            moments=_moments(trace, number),
            reported=reported.get(number),
            rank_distance=_rank_distance(trace, number),
        )
        yield step
        if step.rank_distance:
            return


def check_states(trace: Trace) -> None:
    """Raises IncompleteTrace if a tensor is missing or has another shape, NonFinite, and UnreadableTrace."""
    names = set(shapes.shapes(trace.scenario.model))
    for step in range(trace.steps + 1):
        tensors = trace.tensors(step)
        kinds = ("param",) if step == 0 else ("param", "exp_avg", "exp_avg_sq")
        if missing := sorted({f"{kind}/{name}" for kind in kinds for name in names} - set(tensors)):
            raise IncompleteTrace(f"the state after step {step} lacks {missing[0]} ({len(missing)} in all)")
        for name, shape in shapes.shapes(trace.scenario.model).items():
            for kind in kinds:
                if tuple(tensors[f"{kind}/{name}"].shape) != shape:
                    raise IncompleteTrace(f"{kind}/{name} after step {step} has another shape than the model's {shape}")
        if bad := non_finite(tensors):
            raise NonFinite(f"{bad} holds a NaN or an infinity after step {step}")


def _before(trace: Trace, step: int) -> State:
    parameters = trace.state(step, "param")
    zeros = {n: torch.zeros_like(p) for n, p in parameters.items()}
    return State(parameters, trace.state(step, "exp_avg") or zeros, trace.state(step, "exp_avg_sq") or zeros)


def _moments(trace: Trace, step: int) -> Moments:
    def flat(at: int, kind: str) -> Tensor:
        state = trace.state(at, kind)
        return flatten(state) if state else torch.zeros_like(flatten(trace.state(at, "param")))

    return Moments(*(flat(at, kind) for kind in ("exp_avg", "exp_avg_sq") for at in (step, step + 1)))


def _states(trace: Trace, step: int) -> dict[str, TensorState]:
    before, after = trace.state(step, "param"), trace.state(step + 1, "param")
    first, second = trace.state(step + 1, "exp_avg"), trace.state(step + 1, "exp_avg_sq")
    return {
        n: TensorState(before[n].double(), after[n].double(), first[n].double(), second[n].double())
        for n in sorted(before)
    }


def _rank_distance(trace: Trace, step: int) -> dict[int, tuple[str, float]]:
    mine = trace.state(step + 1, "param")
    result = {}
    for rank in range(1, trace.header.ranks):
        theirs = trace.state(step + 1, "param", rank)
        far = {n: _distance(mine[n], theirs[n]) for n in mine if n in theirs}
        worst = max(far, key=lambda n: far[n], default="")
        if worst and far[worst] > 0:
            result[rank] = (worst, far[worst])
    return result


def _distance(one: Tensor, other: Tensor) -> float:
    """L2, in the coarser of the two dtypes: one rank may tell its master weights, another the rounded copy."""
    coarser = min(one.dtype, other.dtype, key=lambda dtype: dtype.itemsize)
    return float((one.to(coarser).double() - other.to(coarser).double()).norm())
