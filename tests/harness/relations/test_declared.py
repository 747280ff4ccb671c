"""What every relation must keep, of whatever scenario: the same rows in each step, and every other field."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Lora, Scenario, vary
from harness.relations import pairs
from harness.relations.declared import BY_NAME, RELATIONS
from scenarios import CATALOGUE, get, rows
from tests.fuzzing import examples

KEEP_ROWS = ("split-otherwise", "rows-permuted", "rows-doubled")
"""Relations that move rows about within a step."""


@st.composite
def drawn(draw: st.DrawFn) -> Scenario:
    """A window of some size, with what else a step may have."""
    base = vary(
        get("sft-ragged", draw(st.integers(0, 3))),
        ranks=draw(st.integers(1, 4)),
        micro_batch_size=draw(st.integers(1, 3)),
        accumulation=draw(st.integers(1, 4)),
        steps=draw(st.integers(1, 3)),
        rows_per_sequence=draw(st.integers(1, 2)),
        strategy=draw(st.sampled_from(["none", "zero2", "fsdp"])),
        gradient_checkpointing=draw(st.booleans()),
        lora=draw(st.sampled_from([None, Lora()])),
    )
    return rows.fit(base)


def of_step(scenario: Scenario, step: int) -> Counter[object]:
    return Counter(scenario.data.rows[i] for i in scenario.step_rows(step))


@pytest.mark.fuzz
@settings(deadline=None, max_examples=examples(25))
@given(drawn())
def test_a_step_keeps_its_rows_and_nothing_else_differs(scenario: Scenario) -> None:
    found, silent = pairs.pairs(RELATIONS, [scenario])
    assert {pair.relation for pair in found} | {one.relation for one in silent} == set(RELATIONS)
    for pair in found:
        one, other = pair.sides
        assert set(pairs.differing(one, other)) <= set(pair.relation.may_differ)
        assert one.window.steps == other.window.steps
        for step in range(one.window.steps):
            before, after = of_step(one, step), of_step(other, step)
            if pair.relation.name == "rows-doubled":
                assert {row: 2 * count for row, count in before.items()} == after
            else:
                assert before == after
            if pair.relation.name in KEEP_ROWS and one.hash == scenario.hash:
                assert before == of_step(scenario, step)


@pytest.mark.parametrize("name", CATALOGUE)
def test_whatever_is_made_of_a_named_scenario_can_run(name: str) -> None:
    found, silent = pairs.pairs(RELATIONS, [get(name, 0)])
    assert len(found) + len(silent) >= len(RELATIONS)
    for pair in found:
        for side in pair.sides:
            side.check()


@pytest.mark.parametrize(
    ("fields", "relation", "reason"),
    [
        ({"steps": 1}, "resumed", "it has one step, so that nothing comes behind a checkpoint"),
        ({"order": "shuffled"}, "rows-permuted", "which rows a step has is up to the framework"),
        ({"compute": "fp16"}, "split-otherwise", "in fp16 it is the gradient of each micro-batch that overflows"),
        ({"neftune_alpha": 5.0}, "checkpointing", "its noise is drawn anew in each run"),
        ({"epochs": 2, "steps": 6}, "rows-doubled", "it comes to the end of an epoch"),
        ({"resume_after": 1, "resume_ranks": 1}, "resumed", "behind its checkpoint fewer ranks go on"),
    ],
)
def test_where_a_relation_says_nothing_it_says_why(fields: dict[str, object], relation: str, reason: str) -> None:
    found, (silent,) = pairs.pairs([BY_NAME[relation]], [vary(get("sft-ragged", 0), **fields)])
    assert found == []
    assert silent.reason.startswith(reason)


def test_names_are_different_and_every_relation_has_a_sentence() -> None:
    assert len(BY_NAME) == len(RELATIONS)
    assert all(relation.sentence.endswith(".") for relation in RELATIONS)
