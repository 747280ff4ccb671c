"""A run in two parts: the first in a process of its own, and what it saves is all that the second one has of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import scenarios
from adapters.contract import CRASH, Job
from adapters.inside import resumed


def job(folder: Path) -> Job:
    return Job("adapters.none", "none", "1", scenarios.get("sft-ragged-resume"), "", str(folder))


def test_both_parts_run_in_processes_of_their_own(tmp_path: Path) -> None:
    def part(one: Job) -> int:
        with (tmp_path / "log").open("a") as log:
            log.write(f"{one.part} {list(one.steps)} {os.getpid() == here}\n")
        return 0

    here = os.getpid()
    assert resumed.run(job(tmp_path), part) == 0
    assert (tmp_path / "log").read_text() == "before [0] False\nafter [1, 2] True\n"


@pytest.mark.parametrize("crashed", [True, False])
def test_nobody_goes_on_from_a_first_part_that_failed(tmp_path: Path, crashed: bool) -> None:
    def part(one: Job) -> int:
        assert one.part == "before"
        if crashed:  # on another rank
            (tmp_path / CRASH).touch()
        return 0 if crashed else 3

    assert resumed.run(job(tmp_path), part) == (1 if crashed else 3)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    def made(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        model = torch.nn.Linear(3, 2)
        return model, torch.optim.AdamW(model.parameters())

    model, optimizer = made(0)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    resumed.save(model, optimizer, tmp_path / "saved.pt")
    again, adam = made(1)
    resumed.load(again, adam, tmp_path / "saved.pt")
    assert torch.equal(again.weight, model.weight)
    assert torch.equal(adam.state[again.weight]["exp_avg"], optimizer.state[model.weight]["exp_avg"])
    other, fresh = made(2)
    resumed.load(other, None, tmp_path / "saved.pt")
    assert torch.equal(other.weight, model.weight)
    assert not fresh.state
