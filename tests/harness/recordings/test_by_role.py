"""Masks that are told by the sums of many tokens, where none is told by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.oracle.hypotheses import Hypothesis
from harness.recordings import by_role, reader, weighing
from harness.recordings.weighing import WeighedStep
from tests.harness.recordings import loops
from tests.harness.recordings.loops import END, VOCABULARY, MicroBatch

Mask = Callable[[MicroBatch], Tensor]


def right(one: MicroBatch) -> Tensor:
    return one.labels != -100


def shifted(one: MicroBatch) -> Tensor:
    return right(one).roll(-1, 1)


def no_eos(one: MicroBatch) -> Tensor:
    return right(one) & (one.ids != END)


def no_first(one: MicroBatch) -> Tensor:
    return right(one) & right(one).roll(1, 1)


def with_tag(one: MicroBatch) -> Tensor:
    return right(one) | shifted(one)


MASKS = {"shifted": shifted, "no-eos": no_eos, "no-first": no_first, "with-tag": with_tag}


def recorded(folder: Path, mask: Mask, coarse: bool, means: bool) -> list[WeighedStep]:
    """A loop that says which tokens it trains, and trains those of another mask."""

    def loss(model: nn.Module, one: MicroBatch, every: int) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=coarse):
            logits = model(input_ids=one.ids, labels=one.labels, attention_mask=one.attended).logits
        chosen = mask(one)[:, 1:].reshape(-1)
        each = nn.functional.cross_entropy(
            logits[:, :-1].float().reshape(-1, VOCABULARY), one.ids[:, 1:].reshape(-1), reduction="none"
        )
        return (each * chosen).sum() / (4 * int(chosen.sum()) if means else every)

    loops.record(folder, lambda: loops.train(loops.llama(), loss=loss))
    recording = reader.read(folder)
    return [weighing.weigh(recording, number) for number in recording.steps]


def hidden(step: WeighedStep) -> WeighedStep:
    """As if no other mask had been seen token by token."""
    return replace(step, fit=replace(step.fit, hypothesis=Hypothesis()))


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("name", MASKS)
def test_it_is_named(tmp_path: Path, name: str, coarse: bool) -> None:
    for step in recorded(tmp_path, MASKS[name], coarse, means=False):
        assert [finding.detail["mask"] for finding in by_role.mask(hidden(step))] == [name]


@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("coarse", [False, True])
def test_a_right_one_is_right_whatever_the_losses_are_averaged_over(tmp_path: Path, coarse: bool, means: bool) -> None:
    for step in recorded(tmp_path, right, coarse, means):
        assert by_role.mask(hidden(step)) == []


def test_what_is_seen_token_by_token_is_told_by_that(tmp_path: Path) -> None:
    assert [by_role.mask(step) for step in recorded(tmp_path, shifted, coarse=False, means=False)] == [[], [], []]
