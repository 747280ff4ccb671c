"""A run in two parts: the first in a process of its own, and what it saves is all that the second one has of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import scenarios
from adapters.contract import CRASH, Job, vary
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


@pytest.mark.parametrize(("rank", "parts"), [("0", ["before", "after"]), ("1", ["before"])])
def test_a_rank_too_many_ends_with_the_first_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str, parts: list[str]
) -> None:
    def part(one: Job) -> int:
        with (tmp_path / "log").open("a") as log:
            log.write(f"{one.part} of {os.environ['WORLD_SIZE']}\n")
        return 0

    for name, value in (("RANK", rank), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    one = job(tmp_path)
    assert resumed.run(replace(one, scenario=vary(one.scenario, resume_ranks=1)), part) == 0
    told = {"before": "before of 2", "after": "after of 1"}
    assert (tmp_path / "log").read_text().splitlines() == [told[part] for part in parts]


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
