"""Why a fault of the optimizer's rule cannot be seen on a scenario; None where it can. Standard library only."""

from __future__ import annotations

from collections.abc import Callable

from adapters.contract import Scenario
from adapters.unseen import several_steps


def decays_visibly(scenario: Scenario) -> str | None:
    if not scenario.optimizer.weight_decay and not any(group.weight_decay for group in scenario.optimizer.groups):
        return "the scenario has no weight decay"
    exact = scenario.precision.masters == "fp32"
    return None if exact else "so small a decay is lost where parameters are kept in bf16"


def exempts(scenario: Scenario) -> str | None:
    return "norms are meant to decay" if scenario.optimizer.decayed == "all" else None


def trains_norms(scenario: Scenario) -> str | None:
    last = "transformer.ln_f.weight" if scenario.model.architecture == "gpt2" else "model.norm.weight"
    return None if scenario.model.trains(last) else "no norm is trained"


def exempts_nothing(scenario: Scenario) -> str | None:
    return None if scenario.optimizer.decayed == "all" else "norms are meant not to decay"


def apart(scenario: Scenario) -> str | None:
    own = any(group.rate != 1.0 for group in scenario.optimizer.groups)
    return None if own else "no group has a rate of its own"


def adam(scenario: Scenario) -> str | None:
    return None if scenario.optimizer.kind == "adamw" else "the optimizer is not AdamW"


def adam_of(field: str, value: float) -> Callable[[Scenario], str | None]:
    """Hidden where Adam is meant to have that value anyway."""

    def why(scenario: Scenario) -> str | None:
        meant = getattr(scenario.optimizer, field) == value
        return f"Adam's {field} is meant to be {value:g}" if meant else adam(scenario)

    return why


def sums(scenario: Scenario) -> str | None:
    return None if scenario.optimizer.kind == "sgd" else "the optimizer is not SGD"


def of_momentum(scenario: Scenario) -> str | None:
    return sums(scenario) or several_steps(scenario)


def adds_squares(scenario: Scenario) -> str | None:
    return several_steps(scenario) if scenario.optimizer.kind == "adagrad" else "the optimizer is not Adagrad"


def averages_squares(scenario: Scenario) -> str | None:
    return several_steps(scenario) if scenario.optimizer.kind == "rmsprop" else "the optimizer is not RMSprop"
