"""Which tensors a run that goes on did not take from its checkpoint: they move from what they were at the start."""

from __future__ import annotations

from dataclasses import replace

import torch

from adapters.contract import Scenario
from harness.intent.intent import Rule
from harness.judging.evidence import StepEvidence
from harness.oracle.step import DTYPES
from harness.oracle.update import TensorState, direction
from harness.traces import squares
from scenarios import weights


def lost(scenario: Scenario, first: StepEvidence) -> tuple[str, ...]:
    """Tensors whose first step after the checkpoint follows the rule from what they were before the training, and not
    from the checkpoint; none where any other tensor's does not follow from it either."""
    begun, coarse, found = weights.initial(scenario.model, scenario.seed), DTYPES[scenario.precision.compute], []
    for name, state in first.recorded.states.items():
        if _follows(first, name, state):
            continue
        initial = torch.from_numpy(begun[name]).double()
        if not any(_follows(first, name, replace(state, before=p)) for p in (initial, initial.to(coarse).double())):
            return ()
        found.append(name)
    return tuple(found)


def _follows(first: StepEvidence, name: str, state: TensorState) -> bool:
    """Whether it ends where the intended rate and decay bring it from there."""
    rate, count = first.expected_learning_rate(name), first.right.update + 1 - first.update.behind.get(name, 0)
    moved = rate * direction(_told(state, first.used), first.used, count)
    right = state.before * (1.0 - rate * first.expected_decay(name)) - moved
    allowed = (first.floor.tolerance("update") + first.floor.tolerance("learning_rate")) * float(moved.norm())
    return float((state.after - right).norm()) <= allowed + state.unit * float(state.before.norm())


def _told(state: TensorState, rule: Rule) -> TensorState:
    """With the gradient that squares tell, where there is nothing else: it depends on where the tensor moved from."""
    if not rule.holds_squares or state.second_before is None:
        return state
    around = (state.before, state.after), (state.second_before, state.second)
    parameters, held = (({"": before}, {"": after}) for before, after in around)
    return replace(state, first=squares.gradients(parameters, held, rule.kept, rule.added)[""])
