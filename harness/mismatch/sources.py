"""Where log-probabilities are had from: environments, and the ways that each of them has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.environments.request import Request

Role = Literal["trainer", "engine"]


@dataclass(frozen=True)
class Way:
    """One way to compute them."""

    name: str
    role: Role
    told: str
    """What it does, in a few words."""
    logits: bool = False
    """Whether it tells of the whole vocabulary."""
    masters: bool = False
    """Whether its parameters stay in float32; then it has no meaning in float32 itself."""


@dataclass(frozen=True)
class Source:
    """An environment, and a module of `adapters.logprobs` that runs in it."""

    request: Request
    module: str
    ways: tuple[Way, ...]

    def having(self, dtype: str) -> tuple[Way, ...]:
        return tuple(way for way in self.ways if not (way.masters and dtype == "float32"))


SOURCES = (
    Source(
        Request("torch"),
        "of_transformers",
        (
            Way("transformers", "trainer", "one pass over whole rows, log-softmax in float32", logits=True),
            Way(
                "transformers-autocast",
                "trainer",
                "the same with float32 parameters under torch.autocast",
                logits=True,
                masters=True,
            ),
            Way("transformers-decode", "engine", "token by token with a cache", logits=True),
        ),
    ),
    Source(Request("trl"), "of_trl", (Way("trl", "trainer", "GRPOTrainer's log-probabilities, by its fused head"),)),
    Source(Request("verl"), "of_verl", (Way("verl", "trainer", "logprobs_from_logits, on logits in the dtype"),)),
    Source(Request("openrlhf"), "of_openrlhf", (Way("openrlhf", "trainer", "Actor.forward"),)),
    Source(
        Request("llamafactory"),
        "of_llamafactory",
        (Way("llamafactory", "trainer", "get_batch_logps, on logits in float32"),),
    ),
    Source(
        Request("vllm"),
        "of_vllm",
        (
            Way("vllm-prefill", "engine", "prompt_logprobs of whole rows", logits=True),
            Way("vllm-decode", "engine", "logprobs of tokens that it is made to decode", logits=True),
        ),
    ),
)
"""Frameworks and engines, each in its newest release that Lockstep knows."""

WAYS = tuple(way for source in SOURCES for way in source.ways)


def chosen(names: Iterable[str] | None) -> tuple[Source, ...]:
    """Those that have any way of these names, with those ways alone; all of them where there are no names."""
    if names is None:
        return SOURCES
    wanted = frozenset(names)
    narrowed = [
        Source(source.request, source.module, tuple(way for way in source.ways if way.name in wanted))
        for source in SOURCES
    ]
    return tuple(source for source in narrowed if source.ways)


def whole(source: Source) -> Source:
    """With all of its ways: an environment always answers for them."""
    return next(each for each in SOURCES if each.request == source.request)
