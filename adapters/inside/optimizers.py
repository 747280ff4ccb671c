"""A scenario's optimizer as torch has it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from adapters.contract import Optimizer
from adapters.inside.groups import parameter_groups


def build(
    rule: Optimizer, named: Mapping[str, Tensor], dimensions: Mapping[str, int] | None = None
) -> torch.optim.Optimizer:
    """Of its kind, on the scenario's groups of these parameters. `dimensions`: as of `parameter_groups`."""
    groups = parameter_groups(rule, named, dimensions)
    if rule.kind == "sgd":
        return torch.optim.SGD(groups, lr=rule.learning_rate, momentum=rule.momentum)
    if rule.kind == "adagrad":
        return torch.optim.Adagrad(groups, lr=rule.learning_rate, eps=rule.eps)
    if rule.kind == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rule.learning_rate, alpha=rule.alpha, eps=rule.eps)
    fused = True if rule.fused else None  # None leaves the choice to torch, as who does not ask for it does
    return torch.optim.AdamW(groups, lr=rule.learning_rate, betas=(rule.beta1, rule.beta2), eps=rule.eps, fused=fused)
