"""A hundred right trainings, each set up otherwise: nothing is found, and nothing is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.recordings import reader, telling
from tests.harness.recordings import loops, setups

QUICK = (3, 9)
"""A model with a tied head and one without."""


def _marked(seed: int) -> object:
    return pytest.param(seed, marks=() if seed in QUICK else [pytest.mark.slow, pytest.mark.exhaustive])


@pytest.mark.parametrize("seed", [_marked(seed) for seed in range(100)])
def test_a_right_training_has_no_finding(seed: int, tmp_path: Path) -> None:
    setup = setups.drawn(seed)
    model = setups.model_of(setup)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loops.record(tmp_path, lambda: setups.train(setup, model))
        found = telling.tell(reader.read(tmp_path))
    finally:
        torch.set_num_threads(before)
    assert not found.findings, (setup, found.findings)
    assert not found.unknown, (setup, found.unknown)
    for group in found.groups:
        assert group.rate == pytest.approx(group.configured_rate, rel=0.01), (setup, group)
        if group.decay is not None:
            assert group.decay == pytest.approx(group.configured_decay, abs=2e-3), (setup, group)
    if setup.level == "token":
        assert all("a mean over the tokens of the window" in sentence for sentence in found.sentences), found.sentences


def test_the_seeds_draw_every_model_and_layout() -> None:
    every = [setups.drawn(seed) for seed in range(100)]
    assert {setup.model for setup in every} == {*setups.MODELS}
    assert {setup.layout for setup in every} == {"right", "left", "packed"}
    assert {setup.accumulation for setup in every} == {1, 2, 3, 4}
    for yes in ("checkpointing", "autocast", "labels", "prompts", "tied"):
        assert {getattr(setup, yes) for setup in every} == {True, False}
