"""Checks: pure functions from the evidence of a step to findings. One file an aspect."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judging.checks import auxiliary, inputs, noise, order, packing, reduction, reported, state, update, weights
from harness.judging.evidence import Received, StepEvidence
from harness.verdicts.findings import Finding

Check = Callable[[StepEvidence], Sequence[Finding]]

CHECKS: tuple[Check, ...] = (
    inputs.batch_composition,
    order.order,
    packing.packing,
    inputs.loss_mask,
    inputs.positions,
    inputs.attention,
    noise.noise,
    reported.loss,
    reported.grad_norm,
    reported.learning_rate,
    weights.token_weights,
    auxiliary.auxiliary,
    weights.residual,
    reduction.reduction,
    update.learning_rate,
    update.weight_decay,
    update.moments,
    state.ranks_agree,
    state.frozen_stay,
    state.masters,
)
"""In the order in which data flows through a step."""

OF_SKIPPED: tuple[Callable[[Received], Sequence[Finding]], ...] = (
    inputs.batch_composition,
    order.order,
    packing.packing,
    inputs.loss_mask,
    inputs.positions,
    inputs.attention,
    noise.noise,
    state.ranks_agree,
)
"""Those that a step can be asked which changed nothing: what it received, and whether ranks were one model."""
