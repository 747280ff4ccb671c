"""What transformers calls its optimizers (`optim` of TrainingArguments)."""

from __future__ import annotations

import inspect
from importlib.metadata import version as installed
from importlib.util import find_spec
from typing import Any

from adapters.contract import Optimizer, Scenario


def unsupported(scenario: Scenario, framework: str) -> str | None:
    """Why the transformers of this environment cannot make the scenario's optimizer; `framework` for the message."""
    given = scenario.optimizer.given_in == "engine"
    if scenario.optimizer.kind == "adamw" or given or _takes_momentum():
        return None
    return (
        f"{framework} has no optimizer.momentum: transformers {installed('transformers')} hands torch's SGD its rate"
        " alone (get_optimizer_cls_and_kwargs in trainer.py)"
    )


def _takes_momentum() -> bool:
    """Whether `optim_args` reach SGD, as they do from transformers 5 on."""
    if find_spec("transformers.trainer_optimizer") is None:
        return False
    from transformers import trainer_optimizer

    return "momentum" in inspect.getsource(trainer_optimizer._get_sgd)


def options(rule: Optimizer) -> dict[str, Any]:
    """As TrainingArguments; its default is AdamW."""
    if rule.kind == "adamw":
        return {"adam_beta1": rule.beta1, "adam_beta2": rule.beta2, "adam_epsilon": rule.eps}
    return {"optim": "sgd", "optim_args": f"momentum={rule.momentum!r}"}
