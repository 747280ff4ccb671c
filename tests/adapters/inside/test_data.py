"""Batches for adapters with a loop of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scenarios
from adapters.contract import IGNORED_LABEL, Job, Scenario, vary
from adapters.inside import data
from adapters.inside.data import Tokens, load_rows, micro_batch, targets_in_step
from adapters.inside.recorder import PADDING, attention_start
from scenarios import checkpoint, rendering


def rows_of(scenario: Scenario) -> list[Tokens]:
    return [
        Tokens(
            r.ids, tuple(map(int, rendering.to_train(r, scenario.data.trained).loss_mask)), tuple(map(int, r.loss_mask))
        )
        for r in rendering.rendered(scenario)
    ]


def test_rows_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    scenario = scenarios.get("sft-ragged")
    checkpoint.write(scenario, tmp_path)
    assert load_rows(Job("a", "f", "1", scenario, str(tmp_path), "t")) == rows_of(scenario)


@pytest.mark.parametrize("name", ["sft-ragged", "sft-ragged-batch2", "sft-ragged-packed"])
def test_labels_of_a_step_are_its_targets(name: str) -> None:
    scenario = scenarios.get(name)
    rows = rows_of(scenario)
    for step in range(scenario.window.steps):
        batches = [
            micro_batch(scenario, rows, step, index, rank)
            for index in range(scenario.window.accumulation)
            for rank in range(scenario.window.ranks)
        ]
        shifted = sum(int((b["labels"][:, 1:] != IGNORED_LABEL).sum()) for b in batches)
        assert shifted == targets_in_step(scenario, rows, step)


def test_every_row_is_dealt_once() -> None:
    scenario = scenarios.get("sft-ragged-batch2")
    rows = rows_of(scenario)
    dealt = [
        tuple(ids[mask == 1].tolist())
        for step in range(scenario.window.steps)
        for index in range(scenario.window.accumulation)
        for rank in range(scenario.window.ranks)
        for batch in [micro_batch(scenario, rows, step, index, rank)]
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    assert dealt == [row.ids for row in rows]


def test_packed_conversations_do_not_see_each_other() -> None:
    scenario = vary(scenarios.get("sft-ragged-packed"), micro_batch_size=2, accumulation=2)
    rows = rows_of(scenario)
    batch = micro_batch(scenario, rows, 0, 0, 0)
    starts = attention_start(batch["input_ids"], batch["attention_mask"], 0)
    for sequence, indices in enumerate(scenario.sequence_rows(0, 0, 0)):
        first, second = (len(rows[i].ids) for i in indices)
        rest = batch["input_ids"].shape[1] - first - second
        assert starts[sequence].tolist() == [0] * first + [first] * second + [PADDING] * rest
        positions = [*range(first), *range(second), *([0] * rest)]
        assert batch["position_ids"][sequence].tolist() == positions


def test_no_query_of_a_packed_mask_is_empty() -> None:
    scenario = vary(scenarios.get("sft-ragged-packed"), micro_batch_size=2, accumulation=2)
    mask = micro_batch(scenario, rows_of(scenario), 0, 0, 0)["attention_mask"]
    assert bool((mask == 0).any(dim=-1).all())
    assert mask.dtype == torch.float32


def test_the_first_token_is_never_a_target() -> None:
    row = Tokens((7, 8, 9), (1, 1, 0), (1, 1, 0))
    assert row.labels == [IGNORED_LABEL, 8, IGNORED_LABEL]
    assert row.targets == 1


def test_by_length_every_row_comes_once_and_the_longest_of_a_group_first() -> None:
    scenario = vary(scenarios.get("sft-ragged-shuffled"), order="by-length")
    lengths = [scenario.tokens(row) for row in scenario.data.rows]
    orders = [data.order(scenario, epoch) for epoch in range(2)]
    for order in orders:
        assert sorted(order) == list(range(len(lengths)))
        for at in range(0, len(order), 4):  # what a rank has in a step
            own = [lengths[row] for row in order[at : at + 4]]
            assert own == sorted(own, reverse=True)
    assert orders[0] != orders[1]
