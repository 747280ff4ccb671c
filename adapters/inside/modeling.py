"""transformers' modules of the families of models that a scenario may have."""

from __future__ import annotations

from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from adapters.contract import Architecture, Scenario


def attention_of(scenario: Scenario) -> str:
    """The implementation of attention that a user asks for who wants no other, or flash-attn's.

    torch's own has no soft cap: transformers leaves the cap out with it, without a word before 5.21.
    """
    if scenario.model.attention == "flash":
        return "flash_attention_2"
    return "sdpa" if scenario.model.attention_softcap is None else "eager"


def no_flash(scenario: Scenario) -> str | None:
    """Why flash-attn's kernels cannot be had here, if they are wanted; None otherwise."""
    if scenario.model.attention != "flash":
        return None
    if scenario.device == "cpu":
        return "model.attention='flash' needs CUDA: flash-attn has no kernels for a CPU"
    if scenario.precision.compute == "fp32":
        return "model.attention='flash' needs 16 bits: flash-attn has no kernels for precision.compute='fp32'"
    if scenario.data.packs:
        return "model.attention='flash' is not driven yet with rows that share sequences"
    if find_spec("flash_attn") is None:
        return "model.attention='flash' needs flash-attn, which is not installed here"
    return None


def unknown(scenario: Scenario) -> str | None:
    """Why this environment's transformers has no such model; None if it has, or where there is no transformers."""
    family = scenario.model.architecture
    found = find_spec("transformers")
    if found is None or _has(found, family):
        return None
    return f"transformers {version('transformers')} knows no model_type {family!r}: no model.architecture={family!r}"


def import_all() -> None:
    """Import them once, where every rank would do so anew: a tenth of a second and more for the first of them."""
    found = find_spec("transformers")
    for family in get_args(Architecture):
        if found is not None and _has(found, family):
            import_module(f"transformers.models.{family}.modeling_{family}")


def _has(transformers: ModuleSpec, family: str) -> bool:
    """By its files: to look for a module of a package would import the package, which takes a second."""
    return any((Path(at) / "models" / family).is_dir() for at in transformers.submodule_search_locations or ())
