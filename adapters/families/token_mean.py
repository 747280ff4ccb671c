"""The loss of a micro-batch in loops of ours that have a model divide it: the model's own, or one of its logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from adapters.contract import IGNORED_LABEL, Scenario

ROUTER_LEFT_OUT = "adds the router's loss in the model alone, so there is no auxiliary with another loss of a token"


def leaves_router_out(scenario: Scenario) -> bool:
    """Whether the scenario has a router's loss, and a loss of its tokens that the model does not compute."""
    wanted = scenario.loss
    others = (wanted.label_smoothing != 0, wanted.token_weight != "one", wanted.implementation != "own")
    return bool(wanted.auxiliary) and any(others)


def mean_loss(scenario: Scenario, model: nn.Module, batch: dict[str, Tensor], divisor: float) -> Tensor:
    """The loss of a micro-batch's tokens over `divisor`: the model's own, or where labels are smoothed or tokens
    weighed by their probability, for which transformers' models have no option, one of its logits."""
    wanted = scenario.loss
    if not wanted.label_smoothing and wanted.token_weight == "one":
        loss: Tensor = model(**batch, num_items_in_batch=divisor).loss
        return loss
    labels = batch["labels"][:, 1:].flatten()
    logits = model(**{name: t for name, t in batch.items() if name != "labels"}).logits[:, :-1].flatten(0, 1).float()
    nll = F.cross_entropy(logits, labels, ignore_index=IGNORED_LABEL, reduction="none")
    own = F.cross_entropy(
        logits, labels, ignore_index=IGNORED_LABEL, reduction="none", label_smoothing=wanted.label_smoothing
    )
    weight = (-nll).exp().detach() if wanted.token_weight == "probability" else 1.0
    return (own * weight).sum() / divisor
