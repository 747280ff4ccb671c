"""The loss of each token in the reference: in two parts, its own and that of smoothed labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.contract import IGNORED_LABEL, Loss, Scenario
from adapters.families.loss_scaling import autocast
from adapters.faults import Plan


class TokenLosses(NamedTuple):
    """Both [batch, length - 1], 0 where a target is ignored; a token's loss is their sum."""

    own: Tensor
    smoothed: Tensor


def unsupported(scenario: Scenario) -> str | None:
    """Why the loss of this scenario cannot be computed from the head's input."""
    if not fused(scenario.loss):
        return None
    loss, model = scenario.loss, scenario.model
    others = {
        "loss.label_smoothing": loss.label_smoothing != 0.0,
        "loss.token_weight": loss.token_weight != "one",
        "loss.auxiliary": loss.auxiliary != 0.0,
        "model.lora": model.lora is not None,
        "model.final_softcap": model.final_softcap is not None,
    }
    other = next((name for name, asked in others.items() if asked), None)
    if other is not None:
        return f"has no {other} with loss.implementation={loss.implementation!r}"
    newer = hasattr(F, "linear_cross_entropy")
    return None if newer else f"has no linear_cross_entropy yet: no loss.implementation={loss.implementation!r}"


def fused(wanted: Loss) -> bool:
    """Whether the loss is made from what the head is given, and no logits of the model are used."""
    return wanted.implementation != "own"


def of_output(made: Any, model: Any, targets: Tensor, scenario: Scenario, how: Plan) -> TokenLosses:
    """made: what the model returned; model: transformers', or DDP around it; targets: int64 [batch, length - 1]."""
    if not fused(scenario.loss):
        logits = made.logits[:, :-1] if how.shifted else made.logits[:, 1:]
        if how.softmax == "tokenizer":
            logits = logits[..., : scenario.model.vocab_size - scenario.model.extra_rows]
        return of_logits(logits.float(), targets, scenario.loss, how)
    own = getattr(model, "module", model)
    states, head = made.hidden_states[-1][:, :-1].flatten(0, 1), own.get_output_embeddings().weight
    with autocast(scenario):
        losses = F.linear_cross_entropy(states, head, targets.flatten(), reduction="none", ignore_index=IGNORED_LABEL)
    nll = losses.view_as(targets)
    return TokenLosses(nll, torch.zeros_like(nll))


def of_logits(logits: Tensor, targets: Tensor, wanted: Loss, how: Plan) -> TokenLosses:
    """logits: [batch, length - 1, vocabulary]; targets: int64 [batch, length - 1]."""
    share = smoothing(wanted, how)
    nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    weight = (-nll).exp().detach() if wanted.token_weight == "probability" and how.token_weight == "right" else 1.0
    uniform = logits.logsumexp(-1) - logits.mean(-1)
    return TokenLosses((1.0 - share) * weight * nll, share * uniform)


def smoothing(wanted: Loss, how: Plan) -> float:
    """How much labels are smoothed, as planned."""
    right = wanted.label_smoothing
    return {"right": right, "none": 0.0, "twice": 1.0 - (1.0 - right) ** 2, "unasked": 0.1}[how.smoothing]
