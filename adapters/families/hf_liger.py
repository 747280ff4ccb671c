"""What frameworks on the Trainer share of Liger's kernels, which compute the loss from the head's input."""

from __future__ import annotations

from collections.abc import Container
from importlib import import_module
from importlib.util import find_spec

from adapters.contract import INTERPRETED, LIGER, Scenario, Shim
from adapters.families.triton_interpreter import INTERPRETER, interpret

ASK = ",".join(f"{name}=={version}" for name, version in LIGER.items())
"""What an environment is asked for with."""

KERNELS = "liger_kernel.transformers"
INSTALLED = find_spec("liger_kernel") is not None and find_spec("triton") is not None
MODULES = (KERNELS,) if INSTALLED else ()
"""What would be imported in every rank anew."""


def unsupported(scenario: Scenario, framework: str) -> str | None:
    """Why this environment has no loss of Liger's; None if it has, or if nobody wants it."""
    if not wanted(scenario):
        return None
    says = f"{framework} has no loss.implementation='liger'"
    if not INSTALLED:
        asked = f"{framework.replace(' ', '==')},{ASK}"
        return f"{says} without liger-kernel and triton, which are not installed; ask for them, as in {asked}"
    family, others = scenario.model.architecture, scenario.loss
    if scenario.device == "cpu" and family not in INTERPRETED:
        return f"{says} with model.architecture={family!r} on a CPU: Triton's interpreter does not run those kernels"
    if family not in _families():
        return f"{says} with model.architecture={family!r}: Liger has no kernels for it"
    if others.label_smoothing or others.token_weight != "one":
        return f"{says} with loss.label_smoothing or loss.token_weight: they are computed from logits, which it has not"
    return None


def _families() -> Container[str]:
    """Those that Liger has kernels for."""
    families: Container[str] = import_module(f"{KERNELS}.monkey_patch").MODEL_TYPE_TO_APPLY_LIGER_FN
    return families


def wanted(scenario: Scenario) -> bool:
    """Whether the loss is to be Liger's."""
    return scenario.loss.implementation == "liger"


def needed(scenario: Scenario) -> list[Shim]:
    """What is changed for it. The variable itself stands in the recipes (`cpu_variables`): Triton reads it early."""
    return [INTERPRETER] if wanted(scenario) and scenario.device == "cpu" else []


def apply(scenario: Scenario) -> None:
    """Make the interpreter run what the compiler does, if anybody wants it."""
    if INTERPRETER in needed(scenario):
        interpret()
