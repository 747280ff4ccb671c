"""Two recordings against each other: what is alike, what is not, and from which step on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from harness import cli
from tests.harness.recordings import loops


def recorded(folder: Path, **how: Any) -> Path:
    model = loops.llama()
    loops.record(folder, lambda: loops.train(model, **{"clip": 0.5, "steps": 2, **how}))
    return folder


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("right"))


def compared(capsys: pytest.CaptureFixture[str], *folders: Path) -> tuple[int, str]:
    status = cli.call(["compare", *map(str, folders)])
    return status, capsys.readouterr().out


def test_a_recording_and_itself(right: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = compared(capsys, right, right)
    assert status == 0
    assert "inputs: the same in every step that both have watched\n" in said
    assert said.endswith("the same\n")


def test_another_order_of_the_sum(right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def halves(model: torch.nn.Module, one: loops.MicroBatch, every: int) -> torch.Tensor:
        return loops.summed(model, one, every) * (3.0 / every) / 3.0

    status, said = compared(capsys, right, recorded(tmp_path, loss=halves))
    assert status == 0
    assert "the same within rounding (rows weigh alike to " in said


def test_means_of_means(right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = compared(capsys, right, recorded(tmp_path, loss=loops.mean_of_means))
    assert status == 1
    assert "step 0: 8 of 8 rows weigh otherwise: A from " in said
    assert "(a mean over the tokens of the window, clipped to 0.5) and B from " in said
    assert "(a mean over the micro-batches, each averaged by itself, clipped to 0.5)" in said
    assert said.endswith("they part at step 0\ndifferent\n")


def test_another_rate_from_the_second_step_on(right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = recorded(tmp_path, rate=lambda step: 1e-3 / (1 + step))
    status, said = compared(capsys, right, other)
    assert status == 1
    assert "step 1: the learning rate of parameter group 0 is 0.001 in A and 0.0005 in B" in said
    assert "they part at step 1" in said


def test_other_data(right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = compared(capsys, right, recorded(tmp_path, seed=2))
    assert status == 1
    assert "inputs: the global batch of step 0 is not the same: 8 of the 8 rows of A are not in B" in said


def test_the_same_rows_elsewhere(right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = compared(capsys, right, recorded(tmp_path, backwards=True))
    assert status == 0
    assert "the same in every step that both have watched, though not on the same ranks and micro-batches" in said


def test_wrong_usage(right: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folders in ((right, good), (right, right, right)):
        assert cli.call(["compare", *map(str, folders)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_rates_that_no_moments_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of SGD the configured ones are held against each other."""

    def recorded_sgd(folder: Path, rate: float) -> Path:
        def train() -> None:
            model = loops.llama()
            optimizer = torch.optim.SGD(model.parameters(), lr=rate)
            for one in loops.batches(torch.Generator().manual_seed(1)):
                torch.autograd.backward(loops.token_mean(model, one, 110))
            optimizer.step()

        loops.record(folder, train)
        return folder

    status, said = compared(capsys, recorded_sgd(tmp_path / "a", 0.01), recorded_sgd(tmp_path / "b", 0.02))
    assert status == 1
    assert "step 0: the configured learning rate of parameter group 0 is 0.01 in A and 0.02 in B" in said
