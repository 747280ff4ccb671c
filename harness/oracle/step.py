"""What one optimizer step should have done, from the parameters that the framework itself had before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from adapters.contract import Scenario
from harness.oracle import auxiliary
from harness.oracle.basis import Basis, Segment
from harness.oracle.basis_cache import Bases
from harness.oracle.clipping import clip_coefficient
from harness.oracle.forward import Parameters
from harness.oracle.terms import Terms
from harness.traces.batch import Conversation


@dataclass(frozen=True)
class Slot:
    """One predicted token of one conversation of the global batch."""

    conversation: int
    """Index into `RightStep.conversations`."""
    position: int
    """In the conversation, from 1."""
    column: int
    """In the basis; tokens of equal prefix share one."""
    trained: bool
    """Whether it is part of a response."""


@dataclass(frozen=True)
class RightStep:
    """A step, judged on the tokens that the model really received."""

    scenario: Scenario
    number: int
    """From 0."""
    conversations: Sequence[Conversation]
    basis: Basis
    slots: tuple[Slot, ...]
    terms: Terms
    """What the loss has beside its tokens."""

    @cached_property
    def targets(self) -> int:
        """N: tokens to be trained in the global batch."""
        return sum(slot.trained for slot in self.slots)

    @cached_property
    def weights(self) -> Tensor:
        """Right weights before clipping: 1/N for each trained token, summed by column. float64 [columns]."""
        return self.by_column(torch.tensor([slot.trained / self.targets for slot in self.slots], dtype=torch.float64))

    @cached_property
    def gradient(self) -> Tensor:
        """The right gradient before clipping: float64 [parameters], as the basis has them."""
        tokens = self.basis.gradient(self.weights)
        return tokens + self.terms.gradient(self.terms.right) if self.terms.names else tokens

    @cached_property
    def norm(self) -> float:
        """Gradient norm before clipping."""
        return float(self.gradient.norm())

    @cached_property
    def clip(self) -> float:
        """The clip coefficient, 1 where nothing is clipped."""
        return clip_coefficient(self.norm, self.scenario.max_grad_norm)

    @cached_property
    def loss(self) -> float:
        """Mean loss over the trained tokens of the global batch, in nats, and what comes beside it."""
        return float(self.weights @ self.basis.losses + self.terms.right @ self.terms.losses)

    def by_column(self, per_slot: Tensor) -> Tensor:
        """Sum a value [slots] into its columns: float64 [columns]."""
        index = torch.tensor([slot.column for slot in self.slots])
        return torch.zeros(len(self.basis.losses), dtype=torch.float64).index_add(0, index, per_slot.double())


def as_computed(parameters: Parameters, scenario: Scenario) -> dict[str, Tensor]:
    """The parameters as the forward pass saw them: the master weights rounded to the run's dtype."""
    dtype = torch.bfloat16 if scenario.precision == "bf16" else torch.float32
    return {name: p.to(dtype).float() for name, p in parameters.items()}


def right_step(
    scenario: Scenario,
    number: int,
    conversations: Sequence[Conversation],
    parameters: Parameters,
    bases: Bases,
    forwarded: Sequence[Conversation] | None = None,
) -> RightStep:
    """What step `number` should do with these conversations at these parameters (before the step).

    forwarded: the tokens of the forward passes, if `conversations` are not just these.
    """
    segments = [Segment(c.ids) for c in conversations]
    seen = as_computed(parameters, scenario)
    # Cells of a scenario start alike; after a step their parameters differ, if only by rounding.
    build = bases.build if number else bases.get
    basis = build(seen, scenario.model, segments)
    slots = tuple(
        Slot(i, t, basis.columns[c.ids[: t + 1]], c.trained[t])
        for i, c in enumerate(conversations)
        for t in range(1, len(c.ids))
    )
    beside = auxiliary.terms(scenario, conversations if forwarded is None else forwarded, seen, basis)
    return RightStep(scenario, number, conversations, basis, slots, beside)
