"""The mismatches that are put into an exact sampler: what its logits are changed to, by kind and size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.policy import task
from harness.policy.decoding import Changed

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}


@dataclass(frozen=True)
class Mismatch:
    """How far a sampler is from the trainer's policy."""

    kind: str
    """One of KINDS, or `exact`."""
    size: str = ""

    @property
    def label(self) -> str:
        return f"{self.kind} {self.size}".strip()


EXACT = Mismatch("exact")


@dataclass(frozen=True)
class Kind:
    """A way to be off."""

    what: str
    sizes: tuple[str, ...]
    """From the smallest mismatch to the largest."""
    changed: Callable[[str, int, torch.Generator], Changed]
    """Of a size, of responses of so many tokens."""


def _rounded(size: str, length: int, draw: torch.Generator) -> Changed:
    return lambda logits, _: logits.to(DTYPES[size]).double()


def _noisy(size: str, length: int, draw: torch.Generator) -> Changed:
    return lambda logits, _: logits + float(size) * _normal(logits, draw)


def _growing(size: str, length: int, draw: torch.Generator) -> Changed:
    squares = math.fsum((place + 1) ** 2 for place in range(length)) / length

    def changed(logits: Tensor, place: int) -> Tensor:
        return logits + float(size) * (place + 1) / math.sqrt(squares) * _normal(logits, draw)

    return changed


def _biased(size: str, length: int, draw: torch.Generator) -> Changed:
    bias = float(size) * torch.randn(task.VOCABULARY, generator=draw, dtype=torch.float64)
    return lambda logits, _: logits + bias


def _flattened(size: str, length: int, draw: torch.Generator) -> Changed:
    return lambda logits, _: logits / float(size)


def _sharpened(size: str, length: int, draw: torch.Generator) -> Changed:
    return lambda logits, _: logits * float(size)


def _normal(logits: Tensor, draw: torch.Generator) -> Tensor:
    return torch.randn(logits.shape, generator=draw, dtype=logits.dtype)


KINDS: Mapping[str, Kind] = {
    "rounding": Kind("logits are rounded to that dtype", ("fp16", "bf16", "fp8"), _rounded),
    "noise": Kind("Gaussian noise of that size is added to every logit, anew for each token", ("0.7", "2"), _noisy),
    "growing noise": Kind(
        "the same noise, which grows with the place in the response, with the same mean square", ("0.7", "2"), _growing
    ),
    "bias": Kind(
        "Gaussian noise of that size is added to every logit, the same in all of a training", ("0.7", "2"), _biased
    ),
    "flattening": Kind(
        "logits are divided by that number: tokens of low probability are drawn too often", ("1.3", "2.5"), _flattened
    ),
    "sharpening": Kind(
        "logits are multiplied by that number: tokens of low probability are drawn too rarely",
        ("1.3", "2.5"),
        _sharpened,
    ),
}


def changed(mismatch: Mismatch, length: int, draw: torch.Generator) -> Changed:
    """What a sampler with this mismatch draws from."""
    if mismatch == EXACT:
        return lambda logits, _: logits
    return KINDS[mismatch.kind].changed(mismatch.size, length, draw)
