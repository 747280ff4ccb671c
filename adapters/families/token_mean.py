"""The loss of a micro-batch in loops of ours that have a model divide it: the model's own, or one of its logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.contract import IGNORED_LABEL, Loss, Scenario

CHUNK = 16
"""Positions of which linear_cross_entropy makes logits at once: fewer than most rows have."""

ROUTER_LEFT_OUT = "adds the router's loss in the model alone, so there is no auxiliary with another loss of a token"


def leaves_router_out(scenario: Scenario) -> bool:
    """Whether the scenario has a router's loss, and a loss of its tokens that the model does not compute."""
    wanted = scenario.loss
    others = (wanted.label_smoothing != 0, wanted.token_weight != "one", wanted.implementation != "own")
    return bool(wanted.auxiliary) and any(others)


def mean_loss(scenario: Scenario, model: nn.Module, batch: dict[str, Tensor], divisor: float) -> Tensor:
    """The loss of a micro-batch's tokens over `divisor`: the model's own, or torch's where labels are smoothed or
    tokens weighed by their probability, for which transformers' models have no option, or where no logits are kept."""
    wanted = scenario.loss
    if not (wanted.label_smoothing or wanted.token_weight != "one" or wanted.implementation != "own"):
        loss: Tensor = model(**batch, num_items_in_batch=divisor).loss
        return loss
    labels = batch["labels"][:, 1:].flatten()
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    if wanted.implementation == "own":
        logits = model(**inputs).logits[:, :-1].flatten(0, 1).float()
        return _of_logits(logits, labels, wanted).sum() / divisor
    states = model(**inputs, output_hidden_states=True, logits_to_keep=1).hidden_states[-1][:, :-1].flatten(0, 1)
    wrapped: Any = model.module  # transformers' own model
    head = wrapped.get_output_embeddings().weight
    given: dict[str, Any] = {
        "reduction": "none",  # their sum would be in the dtype of the states
        "ignore_index": IGNORED_LABEL,
        "label_smoothing": wanted.label_smoothing,
        "options": torch.nn.LinearCrossEntropyOptions(batch_chunk_size=CHUNK),  # else it makes all logits at once
    }
    each: Tensor = F.linear_cross_entropy(states, head, labels, **given)
    return each.float().sum() / divisor


def _of_logits(logits: Tensor, labels: Tensor, wanted: Loss) -> Tensor:
    """Of each token, 0 where it is ignored: [tokens] of logits [tokens, vocabulary] and labels int64 [tokens]."""
    share = wanted.label_smoothing
    own = F.cross_entropy(logits, labels, ignore_index=IGNORED_LABEL, reduction="none", label_smoothing=share)
    if wanted.token_weight == "one":
        return own
    nll = F.cross_entropy(logits, labels, ignore_index=IGNORED_LABEL, reduction="none")
    return own * (-nll).exp().detach()
