"""A right step's loss and gradient as a coarse dtype computes them: by a pass of the whole model, or of its head alone.

Where the oracle has no forward pass of a model, what was recorded stands for all that comes before the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle import aggregation, auxiliary, forward
from harness.oracle.forward import Parameters
from harness.oracle.local_basis import bent
from harness.oracle.objectives import LogProbs
from harness.oracle.recorded_basis import RecordedBasis
from harness.oracle.rounding import Coarse, Draws, rounded
from harness.oracle.step import RightStep
from harness.oracle.token_loss import of_logits


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass over the joined batch."""

    gradients: dict[str, Tensor]
    """Before clipping, float32."""
    losses: Tensor
    """float32 [slots]."""
    loss: float
    norm: float
    """Of the gradient, before clipping."""


def simulated(right: RightStep, parameters: Parameters, dtype: torch.dtype, draws: Draws) -> Pass:
    """The right gradient and loss as `dtype` computes them from these parameters, float32."""
    if isinstance(right.basis, RecordedBasis):
        return _of_head(right, right.basis, parameters, dtype, draws)
    return _of_model(right, parameters, dtype, draws)


def _of_model(right: RightStep, parameters: Parameters, dtype: torch.dtype, draws: Draws) -> Pass:
    leaves = {name: p.detach().float().requires_grad_(right.model.trains(name)) for name, p in parameters.items()}
    trained = {name: p for name, p in leaves.items() if p.requires_grad}
    losses, beside = _losses(right, leaves, dtype, draws)
    predicted = torch.tensor([t > 0 for c in right.conversations for t in range(len(c.ids))])[1:]
    loss = (_aggregated(right, losses[predicted]) + beside).float()
    gradients = torch.autograd.grad(loss, list(trained.values()))
    return Pass(
        dict(zip(trained, gradients, strict=True)),
        losses.detach()[predicted],
        float(loss.detach()),
        float(torch.stack([g.norm() for g in gradients]).norm()),
    )


def _aggregated(right: RightStep, losses: Tensor) -> Tensor:
    """The loss of the step, float32, from those of the slots, float32 [slots]: added up before it is divided, as
    trainers do, so that weights that are alike round alike."""
    if right.logps is not None:
        return aggregation.loss(right.places, right.trained, right.intent.aggregation, _float32(right.logps, losses))
    weights = right.slot_weights[right.trained]
    largest = float(weights.abs().max())
    return (losses[right.trained] * (weights / largest).float()).sum() / (1.0 / largest)


def _float32(logps: LogProbs, losses: Tensor) -> LogProbs:
    """As trainers have them: the one that is differentiated as it was computed, the others in float32."""
    return LogProbs(-losses, logps.sampled.float(), logps.reference.float())


def _losses(right: RightStep, leaves: Parameters, dtype: torch.dtype, draws: Draws) -> tuple[Tensor, Tensor]:
    """Losses of the joined batch as `dtype` computes them, float32 [tokens - 1], and what the terms add to its mean."""
    model = right.model
    ids, positions, first = forward.joined([c.ids for c in right.conversations])
    noises = [(len(c.ids), c.noise) for c in right.conversations]
    if dtype == torch.float32:
        made = forward.passed(forward.noised(leaves, noises), model, ids, positions, first)
    else:
        start = {name: rounded(p, draws, dtype) for name, p in leaves.items()}
        with Coarse(draws, dtype):
            made = forward.passed(forward.noised(start, noises), model, ids, positions, first)
    beside = torch.zeros(())
    if right.terms.names:
        beside = (right.terms.right * auxiliary.losses(model, right.conversations, made.routers)).sum().float()
    return forward.token_losses(made.logits, ids, right.intent.token_loss), beside


def _of_head(right: RightStep, basis: RecordedBasis, parameters: Parameters, dtype: torch.dtype, draws: Draws) -> Pass:
    """The head's gradient as `dtype` computes it from the recorded states; that of all other tensors as recorded."""
    leaf = parameters[basis.name].detach().float().requires_grad_()
    states = basis.states.float()
    if dtype == torch.float32:
        scores = states @ leaf.T
    else:
        start, states = rounded(leaf, draws, dtype), rounded(states, draws, dtype)
        with Coarse(draws, dtype):
            scores = states @ start.T
    scores = bent(scores, right.model.final_softcap)
    losses = of_logits(scores, basis.targets, right.intent.token_loss)
    loss = _aggregated(right, losses)
    (gradient,) = torch.autograd.grad(loss, leaf)
    whole = {name: part.float() for name, part in basis.by_tensor(right.gradient).items()}
    whole[basis.name][basis.rows] = gradient[basis.rows]
    # The norm of all tensors is told by the weights (`RecordedBasis.norm`), so their noise is the norm's.
    norm = basis.norm(basis.weights_of(gradient[basis.rows].double()))
    return Pass(whole, losses.detach(), float(loss.detach()), norm)
