"""What one optimizer step should have done, from the parameters that the framework itself had before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from adapters.contract import Compute, Model
from harness.intent.intent import Given, Intent
from harness.intent.objective import Policy
from harness.oracle import aggregation, auxiliary, tail_basis
from harness.oracle.aggregation import Places
from harness.oracle.basis import Basis, Segment, segment
from harness.oracle.basis_cache import Bases
from harness.oracle.clipping import clip_coefficient
from harness.oracle.forward import Parameters
from harness.oracle.objectives import LogProbs
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
    """Whether it is to be trained."""


@dataclass(frozen=True)
class RightStep:
    """A step, judged on the tokens that the model really received."""

    intent: Intent
    model: Model
    number: int
    """From 0."""
    conversations: Sequence[Conversation]
    basis: Basis
    slots: tuple[Slot, ...]
    terms: Terms
    """What the loss has beside its tokens."""
    coarseness: Tensor | None = None
    """float64 [columns], 1 or more: by how much less each column's weight is known than a token's, as where it is
    the sum of a whole sequence's. None: all are known alike."""
    shared: Tensor | None = None
    """float64 [columns]: tokens of which each column's weight is the sum, where weights are compared by token. None:
    weights are compared by column."""
    others: OtherLogProbs | None = None
    """Of an objective that asks for them: log-probabilities by other parameters."""
    skipped: int = 0
    """Steps before this one that were skipped, as one that overflows is: they are no updates."""

    @property
    def update(self) -> int:
        """Which update of the optimizer this is, from 0: what Adam and a schedule count."""
        return self.number - self.skipped

    @property
    def loss_scale(self) -> float | None:
        """What the loss was multiplied by before the backward pass; each step that was skipped has halved it."""
        first = self.intent.loss_scale
        return None if first is None else first / 2.0**self.skipped

    @cached_property
    def targets(self) -> int:
        """N: tokens to be trained in the global batch."""
        return sum(slot.trained for slot in self.slots)

    @property
    def micro_batches(self) -> int:
        """Of a rank: `accumulation`, or fewer in the last window of an epoch."""
        return self.intent.micro_batches(self.number)

    @cached_property
    def places(self) -> Places:
        """Where the slots are."""
        owners = [self.conversations[slot.conversation] for slot in self.slots]
        return Places(
            rank=torch.tensor([c.rank for c in owners]),
            micro_batch=torch.tensor([c.micro_batch for c in owners]),
            conversation=torch.tensor([slot.conversation for slot in self.slots]),
            ranks=self.intent.ranks,
            accumulation=self.micro_batches,
            conversations=len(self.conversations),
            given=self._given(),
            rows=tuple(c.row for c in self.conversations),
            logps=self.logps,
        )

    @cached_property
    def logps(self) -> LogProbs | None:
        """Of the slots, where losses are aggregated by an objective."""
        if self.others is None:
            return None
        column = torch.tensor([slot.column for slot in self.slots])
        return LogProbs(*(each[column] for each in (-self.basis.losses, self.others.sampled, self.others.reference)))

    @cached_property
    def trained(self) -> Tensor:
        """Which slots are to be trained: bool [slots]."""
        return torch.tensor([slot.trained for slot in self.slots])

    @cached_property
    def slot_weights(self) -> Tensor:
        """Right weight of each slot before clipping: float64 [slots]; 1/N of the trained ones for a mean of tokens."""
        return aggregation.weights(self.places, self.trained, self.intent.aggregation)

    @cached_property
    def weights(self) -> Tensor:
        """The right weights, summed by column: float64 [columns]."""
        return self.by_column(self.slot_weights)

    @cached_property
    def largest(self) -> float:
        """Size of the largest right weight after clipping, x N: the clip coefficient for a mean of tokens."""
        return self.clip * self.targets * float(self.slot_weights.abs().max())

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
        return clip_coefficient(self.norm, self.intent.max_grad_norm)

    @cached_property
    def loss(self) -> float:
        """Loss of the global batch, in nats, and what comes beside it: of a mean, that of the trained ones."""
        if self.logps is not None:
            return float(aggregation.loss(self.places, self.trained, self.intent.aggregation, self.logps))
        return float(self.weights @ self.basis.losses + self.terms.right @ self.terms.losses)

    @cached_property
    def loss_size(self) -> float:
        """What errors of the loss are held against: itself; or where it may be next to nothing, as that of an
        objective, what an error of a nat in each token makes of it."""
        return abs(self.loss) if self.logps is None else float(self.slot_weights.abs().sum())

    def by_column(self, per_slot: Tensor) -> Tensor:
        """Sum a value [slots] into its columns: float64 [columns]."""
        index = torch.tensor([slot.column for slot in self.slots])
        return torch.zeros(len(self.basis.losses), dtype=torch.float64).index_add(0, index, per_slot.double())

    def _given(self) -> Tensor | None:
        """The weights that the intent gives for the scenario's rows, float64 [slots]; None if it gives none."""
        given = self.intent.aggregation
        if not isinstance(given, Given):
            return None
        rows = [self.conversations[slot.conversation].row for slot in self.slots]
        return torch.tensor(
            [
                given.weights[row][s.position] if row is not None and s.trained else 0.0
                for row, s in zip(rows, self.slots, strict=True)
            ],
            dtype=torch.float64,
        )


@dataclass(frozen=True)
class OtherLogProbs:
    """Log-probabilities of a basis's columns by other parameters than the step's: float64 [columns] each."""

    sampled: Tensor
    reference: Tensor


@dataclass(frozen=True)
class Earlier:
    """Parameters of earlier steps that an objective refers to."""

    sampled: Parameters
    """Those that had sampled the rows."""
    reference: Parameters
    """Those that training began with."""


DTYPES: Mapping[Compute, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What a model computes in."""


def as_computed(parameters: Parameters, precision: Compute) -> dict[str, Tensor]:
    """The parameters as the forward pass saw them: the master weights rounded to the run's dtype."""
    dtype = DTYPES[precision]
    return {name: p.to(dtype).float() for name, p in parameters.items()}


def right_step(
    intent: Intent,
    model: Model,
    number: int,
    conversations: Sequence[Conversation],
    parameters: Parameters,
    bases: Bases,
    forwarded: Sequence[Conversation] | None = None,
    skipped: int = 0,
    earlier: Earlier | None = None,
) -> RightStep:
    """What step `number` should do with these conversations at these parameters (before the step).

    The conversations say which tokens are to be trained (`masks.wanted`).
    forwarded: the tokens of the forward passes, if `conversations` are not just these. skipped: as of `RightStep`.
    earlier: for an objective alone.
    """
    segments = [segment(c) for c in conversations]
    seen = as_computed(parameters, intent.precision)
    # Cells of a scenario start alike; after a step their parameters differ, if only by rounding.
    build = bases.build if number else bases.get
    basis = build(seen, model, segments, intent.token_loss)
    slots = tuple(
        Slot(i, t, basis.columns[segments[i].prefix(t)], c.trained[t])
        for i, c in enumerate(conversations)
        for t in range(1, len(c.ids))
    )
    beside = auxiliary.terms(intent, number, model, conversations if forwarded is None else forwarded, seen, basis)
    others = None
    if earlier is not None:
        sampled = reference = _logps(earlier.reference, intent, model, segments, basis)
        if earlier.sampled is not earlier.reference and isinstance(intent.aggregation, Policy):
            sampled = _logps(earlier.sampled, intent, model, segments, basis)
        others = OtherLogProbs(sampled, reference)
    return RightStep(intent, model, number, conversations, basis, slots, beside, others=others, skipped=skipped)


def _logps(parameters: Parameters, intent: Intent, model: Model, segments: Sequence[Segment], basis: Basis) -> Tensor:
    """Of the columns of a basis, by other parameters: float64 [columns]."""
    found, columns = tail_basis.losses(as_computed(parameters, intent.precision), model, segments)
    result = torch.zeros_like(basis.losses)
    for prefix, column in columns.items():
        result[basis.columns[prefix]] = -found[column]
    return result
