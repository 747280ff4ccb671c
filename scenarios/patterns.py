"""Whether the names in a scenario are those of some of its model's parameters."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from adapters.contract import Scenario
from scenarios import weights
from scenarios.architectures import FAMILIES


def check(scenario: Scenario) -> None:
    """Raises ValueError, in one line, for a pattern or a name that no parameter has, and where nothing is trained."""
    model = scenario.model
    base = FAMILIES[model.architecture].shapes(model)
    matrices = {name.split(".")[-2] for name, shape in base.items() if name.endswith(".weight") and len(shape) == 2}
    modules = {part for name in base for part in name.split(".")[:-1]}
    if model.lora is not None:
        _require(model.lora.targets, matrices, "model.lora.targets", "matrix is called so")
        _require(model.lora.modules_to_save, modules, "model.lora.modules_to_save", "module is called so")
    names = weights.shapes(model)
    for at, pattern in _patterns(scenario):
        if not fnmatch.filter(names, pattern):
            raise ValueError(f"scenario.{at} has {ascii(pattern)[:60]}, and no parameter is called so")
    if not any(model.trains(name) for name in names):
        raise ValueError("scenario.model.frozen leaves no parameter to train")


def _require(wanted: tuple[str, ...], known: set[str], at: str, what: str) -> None:
    for name in wanted:
        if name not in known:
            raise ValueError(f"scenario.{at} has {ascii(name)[:60]}, and no {what}, but {', '.join(sorted(known))}")


def _patterns(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Every shell pattern, and the field that it is in."""
    yield from (("model.frozen", pattern) for pattern in scenario.model.frozen)
    for number, group in enumerate(scenario.optimizer.groups):
        yield from ((f"optimizer.groups[{number}].tensors", pattern) for pattern in group.tensors)
