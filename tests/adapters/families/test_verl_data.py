"""verl's sampler shuffles, whatever one wishes: the file must be such that the scenario's batches come out."""

from __future__ import annotations

import pytest
from torch.utils.data import DistributedSampler

import scenarios
from adapters.contract import Scenario
from adapters.families import verl_data


def drawn(scenario: Scenario, rank: int) -> list[int]:
    """The rows that a rank's sampler draws in its first epoch, as verl's trainers make it."""
    file = verl_data.unshuffled(verl_data.positions(scenario))
    sampler = DistributedSampler(file, num_replicas=scenario.window.ranks, rank=rank, shuffle=True, drop_last=True)
    sampler.set_epoch(0)
    return [file[place] for place in sampler]


@pytest.mark.parametrize("name", ["sft-ragged", "sft-ragged-batch2", "sft-ragged-packed"])
def test_every_rank_gets_its_rows_in_their_order(name: str) -> None:
    scenario = scenarios.get(name)
    for rank in range(scenario.window.ranks):
        wanted = [
            row
            for step in range(scenario.window.steps)
            for number in range(scenario.window.accumulation)
            for sequence in scenario.sequence_rows(step, number, rank)
            for row in sequence
        ]
        assert drawn(scenario, rank) == wanted


def test_the_file_holds_every_row_once() -> None:
    scenario = scenarios.get("sft-ragged")
    file = verl_data.unshuffled(verl_data.positions(scenario))
    assert sorted(file) == list(range(len(scenario.data.rows)))
    assert file != list(range(len(scenario.data.rows)))
