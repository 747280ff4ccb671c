"""LLaMA-Factory's launcher, as its own `llamafactory-cli train` starts it in every rank."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.contract import Given, Shim
from adapters.given import of_trainer
from adapters.inside.stubs import stand_in

TORCHAUDIO = stand_in(
    "torchaudio",
    "LLaMA-Factory imports it for its multimodal plugins (data/mm_plugin.py, since 0.9.4), which text never reaches",
)


def apply(given: Given) -> Sequence[Shim]:
    """As `start` has it."""
    return [*TORCHAUDIO, *of_trainer.apply(given)]
