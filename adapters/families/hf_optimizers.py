"""What transformers calls its optimizers (`optim` of TrainingArguments)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from importlib.util import find_spec
from typing import Any

from adapters.contract import Optimizer, OptimizerKind, Scenario


def unsupported(scenario: Scenario, framework: str) -> str | None:
    """Why the transformers of this environment cannot make the scenario's optimizer; `framework` for the message."""
    rule = scenario.optimizer
    given = rule.given_in == "engine"
    if rule.kind == "adamw" or given:
        return None
    lost = [name for name in _OTHER[rule.kind] if getattr(rule, name) != _OTHER[rule.kind][name]]
    if not lost or _takes(rule.kind, lost):
        return None
    return (
        f"{framework} has no optimizer.{lost[0]}: transformers {installed('transformers')} hands torch's"
        f" {_TORCHS[rule.kind]} its rate alone (get_optimizer_cls_and_kwargs in trainer.py)"
    )


_TORCHS: Mapping[OptimizerKind, str] = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop"}
_OTHER: Mapping[OptimizerKind, Mapping[str, float]] = {
    "sgd": {"momentum": 0.0},
    "adagrad": {"eps": 1e-10},
    "rmsprop": {"alpha": 0.99, "eps": 1e-8},
}
"""What torch's optimizers take beside a rate and decay, with its defaults."""


def _takes(kind: OptimizerKind, names: Sequence[str]) -> bool:
    """Whether `optim_args` reach the optimizer, as they do from transformers 5 on."""
    if find_spec("transformers.trainer_optimizer") is None:
        return False
    from transformers import trainer_optimizer

    source = inspect.getsource(getattr(trainer_optimizer, f"_get_{kind}"))
    return all(f'"{name}"' in source for name in names)


def options(rule: Optimizer) -> dict[str, Any]:
    """As TrainingArguments; its default is AdamW."""
    if rule.kind == "adamw":
        named = {"optim": "adamw_torch_fused"} if rule.fused and rule.given_in == "options" else {}
        return {**named, "adam_beta1": rule.beta1, "adam_beta2": rule.beta2, "adam_epsilon": rule.eps}
    if rule.given_in == "engine":  # the Trainer holds the section's eps against that of Adam, whatever its type
        return {"optim": rule.kind, "adam_epsilon": rule.eps}
    told = {name: getattr(rule, name) for name, default in _OTHER[rule.kind].items() if getattr(rule, name) != default}
    args = {"optim_args": ",".join(f"{name}={value!r}" for name, value in told.items())} if told else {}
    return {"optim": rule.kind, **args}
