"""What frameworks on the Trainer share of Liger's kernels, which compute the loss from the head's input."""

from __future__ import annotations

from collections.abc import Container
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from adapters.contract import Scenario, Shim

ASK = "liger-kernel==0.8.5,triton==3.9.0"
"""What an environment is asked for with."""

KERNELS = "liger_kernel.transformers"
INSTALLED = find_spec("liger_kernel") is not None and find_spec("triton") is not None
MODULES = (KERNELS,) if INSTALLED else ()
"""What would be imported in every rank anew."""

INTERPRETED = ("llama", "qwen2", "qwen3")
"""Families whose kernels Triton's interpreter runs: it has no tanh, which soft caps need, and no device for experts."""

INTERPRETER = Shim(
    "triton-interpreter",
    "Liger's kernels are written for Triton, which compiles for accelerators alone: on a CPU its own interpreter runs"
    " them (TRITON_INTERPRET=1). That hands floats on as Python's, where the compiler has float32, and has no rsqrt of"
    " CUDA's libdevice, for which it takes Triton's own",
)


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
    """Make the interpreter run what the compiler does."""
    if INTERPRETER not in needed(scenario):
        return
    import numpy as np
    from liger_kernel.ops import rms_norm
    from triton import language
    from triton.runtime import interpreter

    convert = interpreter._implicit_cvt

    def convert_floats_too(argument: Any) -> Any:
        if not isinstance(argument, float):
            return convert(argument)
        held = interpreter.TensorHandle(np.array([argument], dtype=np.float32), language.float32)
        return language.tensor(held, language.float32)

    def rsqrt(value: Any) -> Any:
        return language.rsqrt(value)  # looked up late: within a kernel it is the interpreter's

    interpreter._implicit_cvt = convert_floats_too
    rms_norm.rsqrt = rsqrt
