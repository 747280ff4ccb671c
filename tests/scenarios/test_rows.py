"""Rows that fill a window, however many of them share a sequence."""

from __future__ import annotations

import time

import pytest

import scenarios
from adapters.contract import vary
from scenarios import rows


def test_rows_that_fill_many_packed_sequences_are_found_at_once() -> None:
    asked = vary(scenarios.get("sft-ragged-packing"), ranks=1, accumulation=1, epochs=1, steps=40, packed_length=512)
    begin = time.monotonic()
    found = rows.fit(asked, [1])
    assert found.dealing.steps(1) >= 40
    fewer = vary(found, rows=found.data.rows[: -found.rows_per_step])
    assert fewer.dealing.steps(1) < 40
    assert time.monotonic() - begin < 20


def test_datasets_keep_their_shares_on_more_ranks() -> None:
    mixed = vary(scenarios.get("sft-ragged"), parts=(5, 4, 15))
    more = rows.for_ranks(mixed, 4)
    more.check()
    assert more.data.parts == (10, 8, 30)
    assert rows.for_ranks(mixed, 1).data.parts == mixed.data.parts
    assert rows.for_ranks(scenarios.get("sft-ragged"), 3).data.parts == ()


@pytest.mark.parametrize("ranks", [1, 4])
@pytest.mark.parametrize("name", ["dpo-ragged", "grpo-stale"])
def test_on_other_ranks_rows_that_belong_together_still_have_one_question_and_their_rewards(name: str, ranks: int):
    scenario = rows.for_ranks(scenarios.get(name), ranks)
    scenario.check()
    each = scenario.objective.rows_together
    asked = [row[0] for row in scenario.data.rows]
    assert all(len(set(asked[at : at + each])) == 1 for at in range(0, len(asked), each))
