"""Pairs of scenarios: their names, who can have both, and what differs."""

from __future__ import annotations

from adapters.contract import vary
from harness.relations.declared import BY_NAME, RELATIONS
from harness.relations.pairs import differing, pairs
from scenarios import get
from scenarios.files import NAME


def test_one_scenario_has_one_name_and_names_are_those_of_folders() -> None:
    bases = [get(name, 0) for name in ("sft-ragged", "sft-ragged-batch2", "sft-ragged-zero2-offload")]
    found, _ = pairs(RELATIONS, bases)
    sides = [side for pair in found for side in pair.sides]
    assert all(NAME.fullmatch(side.name) for side in sides)
    assert len({side.name for side in sides}) == len({side.hash for side in sides})
    names = {pair.sides[1].name for pair in found}
    assert {
        "sft-ragged.ranks-1.accumulation-8",
        "sft-ragged.rows-permuted",
        "sft-ragged.gradient_checkpointing",
    } <= names


def test_a_side_that_is_a_scenario_already_is_called_so() -> None:
    bases = [get("sft-ragged", 0), get("sft-ragged-zero2", 0)]
    found, _ = pairs([BY_NAME["stage"]], bases)
    assert ("sft-ragged", "sft-ragged-zero2") in {tuple(side.name for side in pair.sides) for pair in found}


def test_offload_is_of_the_own_sharding_or_of_each() -> None:
    (own, *more), _ = pairs([BY_NAME["offload"]], [get("sft-ragged-zero2", 0)])
    assert [side.sharding.offload_optimizer for side in own.sides] == [False, True]
    assert more == []
    each, _ = pairs([BY_NAME["offload"]], [get("sft-ragged", 0)])
    assert {pair.sides[1].sharding.strategy for pair in each} == {"zero1", "zero2", "zero3", "fsdp", "fsdp1"}


def test_a_framework_that_cannot_have_one_side_cannot_have_the_pair() -> None:
    (first, *_), _ = pairs([BY_NAME["stage"]], [get("sft-ragged", 0)])
    assert first.refused("deepspeed") is None
    assert "it keeps the whole state on every rank" in (first.refused("torch") or "")


def test_what_differs_is_told_with_both_values() -> None:
    base = get("sft-ragged", 0)
    assert differing(base, vary(base, name="other", accumulation=2)) == {"window.accumulation": (4, 2)}
