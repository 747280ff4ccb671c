"""The optimizer of the torch reference: right, or wrong as planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Protocol

import torch

from adapters import planned
from adapters.contract import SQUARES, Scenario
from adapters.inside import optimizers


class Plan(planned.Plan, Protocol):
    """What is asked of `adapters.faults.Plan`."""

    @property
    def beta1(self) -> float | None: ...

    @property
    def beta2(self) -> float | None: ...

    @property
    def eps(self) -> float | None: ...

    @property
    def momentum(self) -> Literal["right", "forgotten", "dampened", "nesterov", "0.8"]: ...

    @property
    def squares(self) -> Literal["right", "forgotten", "0.9"]: ...

    @property
    def stepped(self) -> Literal["parameters", "copies"]: ...

    @property
    def decoupled(self) -> bool: ...


def build(model: torch.nn.Module, scenario: Scenario, how: Plan) -> torch.optim.Optimizer:
    """On the scenario's groups, or on those that are planned."""
    rule = planned.rule(scenario.optimizer, how)
    if rule.kind == "adamw":
        rule = replace(rule, beta1=how.beta1 or rule.beta1, beta2=how.beta2 or rule.beta2, eps=how.eps or rule.eps)
    if rule.kind == "rmsprop" and how.squares == "0.9":
        rule = replace(rule, alpha=0.9)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if how.stepped == "copies":
        trained = {name: torch.nn.Parameter(p.detach().clone()) for name, p in trained.items()}
    made = optimizers.build(rule, trained)
    if rule.kind == "sgd":
        for group in made.param_groups:
            group.update(_OTHERWISE.get(how.momentum, {}))
            group["decays"] = group["weight_decay"]
            group["weight_decay"] = 0.0 if how.decoupled else group["decays"]
    return made


_OTHERWISE: dict[str, dict[str, Any]] = {
    "dampened": {"dampening": 0.3},
    "nesterov": {"nesterov": True},
    "0.8": {"momentum": 0.8},
}


def before_step(optimizer: torch.optim.Optimizer, how: Plan) -> None:
    """What becomes of momentum, squares and parameters before a step, once its rate is set."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            if how.momentum == "forgotten" and "momentum_buffer" in optimizer.state.get(p, {}):
                optimizer.state[p]["momentum_buffer"].zero_()
            if how.squares == "forgotten":
                for name in SQUARES.values():
                    if name in optimizer.state.get(p, {}):
                        optimizer.state[p][name].zero_()
            if how.decoupled and group.get("decays"):
                p.data.mul_(1.0 - group["lr"] * group["decays"])
