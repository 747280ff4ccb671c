"""Which frameworks' options can be read and written, for which objectives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from harness.translating import llamafactory_dpo, openrlhf_dpo, openrlhf_grpo, trl_dpo, trl_grpo, verl_grpo
from harness.translating.meaning import Meaning, Settings

Method = Literal["dpo", "grpo"]
Layout = Literal["yaml", "overrides", "flags"]


@dataclass(frozen=True)
class Dialect:
    """The options of one framework for one kind of objective."""

    framework: str
    method: Method
    layout: Layout
    release: str
    """Whose options these are, and whose defaults."""
    defaults: Mapping[str, Any]
    """Options that are read."""
    read: Callable[[Mapping[str, Any], int | None], Meaning]
    """Of options, and ranks where somebody says them. Raises BadConfiguration and NoMeaning."""
    write: Callable[[Meaning], Settings]
    programs: tuple[str, ...] = ()
    """What a command that starts it names."""


def _dialect(framework: str, method: Method, layout: Layout, module: ModuleType, *programs: str) -> Dialect:
    return Dialect(framework, method, layout, module.RELEASE, module.DEFAULTS, module.read, module.write, programs)


DIALECTS = (
    _dialect("trl", "grpo", "yaml", trl_grpo, "grpo"),
    _dialect("verl", "grpo", "overrides", verl_grpo, "verl."),
    _dialect("openrlhf", "grpo", "flags", openrlhf_grpo, "train_ppo_ray"),
    _dialect("trl", "dpo", "yaml", trl_dpo, "dpo"),
    _dialect("llamafactory", "dpo", "yaml", llamafactory_dpo, "llamafactory"),
    _dialect("openrlhf", "dpo", "flags", openrlhf_dpo, "train_dpo"),
)


def of(framework: str) -> list[Dialect]:
    """Those of a framework; none where its options are not read."""
    return [dialect for dialect in DIALECTS if dialect.framework == framework]


def find(framework: str, method: str) -> Dialect | None:
    return next((dialect for dialect in of(framework) if dialect.method == method), None)
