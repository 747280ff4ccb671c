"""The curves of recorded trainings, right and wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.recordings import metrics
from lockstep_recorder import watch
from tests.harness.recordings import loops


def numbers(folder: Path, model: nn.Module | None = None, **how: Any) -> dict[str, float]:
    """Of the second step, while the recording is under way."""
    trained, found = model or loops.llama(), {}
    with watch(trained, out=folder, steps=range(9)):
        loops.train(trained, steps=2, **how)
        found = metrics.of_step(folder, 1)
        assert not (folder / "end.json").exists()
    return found


def test_a_right_training(tmp_path: Path) -> None:
    found = numbers(tmp_path)
    assert found["learning_rate"] == pytest.approx(1e-3, rel=1e-4)
    assert found["tokens_without_weight"] == pytest.approx(24 / 134, abs=1e-9)
    assert found["largest_over_smallest"] == pytest.approx(1.0, abs=1e-4)
    assert (found["trained_without_weight"], found["clip_coefficient"], found["unknown"]) == (0.0, 1.0, 0.0)
    assert found["residual"] < 1e-4


@pytest.mark.parametrize("limit", [0.5, 0.4567])
def test_clipping(tmp_path: Path, limit: float) -> None:
    assert numbers(tmp_path, clip=limit)["clip_coefficient"] == pytest.approx(limit / 0.8264, rel=1e-3)


def test_dropped_micro_batches(tmp_path: Path) -> None:
    def forget(number: int, model: nn.Module) -> None:
        if number == 1:
            model.zero_grad()

    found = numbers(tmp_path, after=forget)
    assert found["trained_without_weight"] == pytest.approx(42 / 110)


def test_the_mean_of_micro_batch_means(tmp_path: Path) -> None:
    assert numbers(tmp_path, loss=loops.mean_of_means)["largest_over_smallest"] == pytest.approx(47 / 11, rel=1e-3)


def test_a_factor_that_has_a_name_is_no_clipping(tmp_path: Path) -> None:
    assert numbers(tmp_path, loss=loops.undivided, clip=None)["clip_coefficient"] == 1.0


def test_without_labels_nothing_is_said_of_trained_tokens(tmp_path: Path) -> None:
    def unlabelled(model: nn.Module, one: loops.MicroBatch, every: int) -> torch.Tensor:
        logits = model(input_ids=one.ids, attention_mask=one.attended).logits[:, :-1]
        flat = logits.reshape(-1, loops.VOCABULARY)
        return nn.functional.cross_entropy(flat, one.labels[:, 1:].reshape(-1), reduction="sum") / every

    found = numbers(tmp_path, loss=unlabelled)
    assert "trained_without_weight" not in found
    assert found["tokens_without_weight"] == pytest.approx(24 / 134, abs=1e-9)


def test_a_step_that_no_rank_has_recorded(tmp_path: Path) -> None:
    model = loops.llama()
    with watch(model, out=tmp_path):
        loops.train(model, steps=1)
        assert metrics.of_step(tmp_path, 7) == {"unknown": 1.0}
