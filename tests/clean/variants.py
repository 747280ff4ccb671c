"""Scenarios for clean cells: some of the catalogue, and variants of those that the catalogue has no room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import scenarios
from adapters.contract import Scenario, vary
from harness.judging.accepted import Entry


@dataclass(frozen=True)
class Variant:
    """A scenario of the catalogue with one thing changed."""

    name: str
    base: str
    change: Callable[[Scenario], Scenario]

    def build(self, seed: int) -> Scenario:
        return replace(self.change(scenarios.get(self.base, seed)), name=self.name)


def _tied(scenario: Scenario) -> Scenario:
    return replace(scenario, model=replace(scenario.model, tied_embeddings=True))


def _in_bf16(scenario: Scenario) -> Scenario:
    return vary(scenario, compute="bf16")


VARIANTS = (
    Variant("sft-ragged-tied", "sft-ragged", _tied),
    Variant("sft-ragged-tied-bf16", "sft-ragged-bf16", _tied),
    Variant("sft-ragged-tied-zero1-bf16", "sft-ragged-zero1", lambda s: _in_bf16(_tied(s))),
    Variant("sft-ragged-tied-zero3-bf16", "sft-ragged-zero3", lambda s: _in_bf16(_tied(s))),
    Variant("sft-ragged-batch2-bf16", "sft-ragged-batch2", _in_bf16),
)

EVERYWHERE = ("sft-ragged", "sft-ragged-bf16", "sft-ragged-tied", "sft-ragged-tied-bf16", "sft-ragged-batch2-bf16")
SHARDED = ("sft-ragged-zero2-bf16", "sft-ragged-tied-zero1-bf16", "sft-ragged-tied-zero3-bf16")

WITH_DEEPSPEED = frozenset({"deepspeed", "trl", "llamafactory", "openrlhf"})
"""What can shard as a scenario asks; the others run the scenarios that ask for nothing."""

KNOWN_AS = {"sft-ragged-tied-bf16": "sft-ragged-bf16", "sft-ragged-batch2-bf16": "sft-ragged-bf16"}
"""What is accepted of a scenario (`scenarios/accepted.toml`) holds for these as well: they train by the same loop."""


def register() -> None:
    """Let this process find the variants in the catalogue by their names."""
    scenarios.CATALOGUE.update({v.name: v.build for v in VARIANTS})


def accepted_of(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries, and those of a scenario once more for each variant that trains alike. `register` comes first."""
    more = [
        entry.model_copy(update={"scenario": variant})
        for variant, alike in KNOWN_AS.items()
        for entry in entries
        if entry.scenario == alike
    ]
    return (*entries, *more)
