"""What `make test` proves on real releases, one proof of each kind, and what `make test-all` proves besides."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from scenarios import CATALOGUE

DEEPSPEED = ("0.15.1", "0.15.2", "0.18.2", "0.18.9")
"""On each side of what was brought and mended; the newest is run with everybody else's."""
OPENRLHF = ("0.9.10", "0.10.2", "0.10.3")
VERL = ("0.6.1", "0.5.0")
COARSE_VERL = "0.7.1"
"""Computes in bfloat16 whatever it is asked for."""
LIGER = "liger-kernel==0.8.5,triton==3.9.0"
ON_LIGER = (("trl", "1.16.0"), ("llamafactory", "0.9.5"), ("ms-swift", "4.6.0"))
OLD_LIGER = "trl==0.12.2,liger-kernel==0.3.1,triton==3.9.0"
"""Knows nothing of the tokens of other micro-batches."""
TRAINERS = (
    "trl==0.11.4",
    "trl==0.12.2",
    "trl==0.19.1",
    "trl==1.16.0,deepspeed==0.18.9",
    "llamafactory==0.9.5,deepspeed==0.18.9",
)

OF_TRAINERS = ("sft-ragged", "sft-equal", "sft-ragged-pairs", "sft-ragged-processor", "sft-ragged-zero2-offload")
OF_DEEPSPEED = (
    "sft-ragged",
    "sft-equal",
    "sft-ragged-bf16",
    "sft-ragged-zero2",
    "sft-ragged-zero2-bare-loss",
    "sft-ragged-zero2-offload",
)
OF_OPENRLHF = (
    "sft-ragged",
    "sft-equal",
    "sft-ragged-packed",
    "sft-ragged-bf16",
    "sft-ragged-zero2-bare-loss",
    "sft-ragged-zero2-offload",
    "sft-ragged-zero3",
    "grpo-token",
)
OF_VERL = (
    "sft-ragged",
    "sft-equal",
    "sft-ragged-noclip",
    "sft-ragged-batch2",
    "sft-ragged-bf16",
    "sft-ragged-pairs",
    "sft-ragged-warmup",
    "sft-ragged-packed",
    "sft-ragged-decay",
    "grpo-divergence",
)
"""The scenarios that tell those releases apart: of each kind of outcome, one."""


def _otherwise() -> dict[str, dict[str, str]]:
    told = tomllib.loads(Path(__file__).with_name("otherwise.toml").read_text())
    return {
        framework: {_named(name): verdict for verdict, names in of.items() for name in names}
        for framework, of in told.items()
    }


def _named(name: str) -> str:
    return name if name in CATALOGUE else f"sft-ragged-{name}"


OTHERWISE = _otherwise()
"""What the newest release of each framework does not pass, and what comes out instead: by framework and scenario."""


UNNAMED = {
    ("deepspeed", "decayed-before-training"),
    ("deepspeed", "learning-rate-schedule"),
    ("liger-kernel", "gradient-scale"),
    ("liger-kernel", "mean-of-means"),
    ("verl", "resume"),
}
"""Known causes, by package, that no named scenario shows."""


def right(framework: str) -> list[str]:
    """The scenarios that the newest release of a framework passes."""
    return [name for name in CATALOGUE if name not in OTHERWISE[framework]]


def words(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def scenarios(request: pytest.FixtureRequest, telling: Iterable[str]) -> list[str]:
    """Options for the fixture that asks: these scenarios, or all of them if an exhaustive test is to read its run."""
    return [] if whole(request) else words("--scenario", telling)


def whole(request: pytest.FixtureRequest) -> bool:
    """Whether an exhaustive test is to read what the fixture that asks makes."""
    readers = (item for item in request.session.items if request.fixturename in getattr(item, "fixturenames", ()))
    return any(item.get_closest_marker("exhaustive") for item in readers)


def cases(every: Iterable[Any], telling: Callable[..., bool]) -> list[Any]:
    """Parameters of a test: those that tell nothing new are exhaustive. A case is a tuple, or one value."""
    found = [case if isinstance(case, tuple) else (case,) for case in every]
    return [pytest.param(*case, marks=() if telling(*case) else (pytest.mark.exhaustive,)) for case in found]
