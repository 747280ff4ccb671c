"""Of a training the recorder keeps a trace of the first steps, what is reported of all, and what comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters.contract import (
    END,
    STATE,
    TRAINED_PARAMETERS,
    TRAINED_STEPS,
    Job,
    Sharding,
    Training,
    tensors_file,
    vary,
)
from adapters.inside.recorder import Enough, Recorder
from harness.staircase import trainings
from harness.staircase.trainings import Size
from harness.traces import reader, trained
from harness.traces.text_files import UnreadableTrace

STEPS = 5
WHOLE = vary(trainings.training(Size(STEPS, 10), 0, Sharding()), hidden_size=8, intermediate_size=8, layers=1)
FIRST = trainings.first_steps(WHOLE, "small")


class Model(torch.nn.Module):
    def forward(self, input_ids: Tensor, labels: Tensor) -> Tensor:
        return input_ids


@pytest.fixture
def job(tmp_path: Path) -> Job:
    trainings.write(WHOLE, tmp_path / "checkpoint")
    (tmp_path / "trace").mkdir()
    return Job("adapters.none", "none", "1.0", FIRST, str(tmp_path / "checkpoint"), str(tmp_path / "trace"))


def train(job: Job, training: Training) -> list[bool]:
    """Record every step, and end; returns at which steps state was asked for."""
    recorder, due = Recorder(replace(job, training=training), 0, 1, []), []
    model = Model()
    recorder.watch(model)
    shapes = load_file(Path(job.checkpoint) / "model.safetensors")
    recorder.begin(shapes)
    for step in range(STEPS):
        for _ in range(8):
            model(input_ids=torch.tensor([[5, 6]]), labels=torch.tensor([[5, 6]]))
        due.append(recorder.due)
        moments = [{name: tensor * 0 for name, tensor in shapes.items()} for _ in STATE["adamw"]]
        given = ({n: t + (step + 1) for n, t in shapes.items()}, *moments) if recorder.due else ({},)
        recorder.step(None, 2.0, 1e-3, *given, logged=step / 10)
    recorder.end()
    return due


def test_the_job_is_given_all_of_the_training(job: Job) -> None:
    assert job.trained == job
    assert replace(job, training="whole").trained.scenario == WHOLE
    assert list(replace(job, training="whole").steps) == [0, 1, 2]


def test_a_whole_training(job: Job) -> None:
    assert train(job, "whole") == [True, True, True, False, True]
    trace = reader.read(Path(job.trace))
    assert (trace.steps, trace.scenario) == (trainings.WEIGHED, FIRST)
    assert {b.step for b in trace.batches} == {0, 1, 2}
    steps = trained.steps(Path(job.trace), STEPS)
    assert [step.logged for step in steps] == [step / 10 for step in range(STEPS)]
    assert {(step.loss, step.grad_norm) for step in steps} == {(None, 2.0)}
    begun = load_file(Path(job.checkpoint) / "model.safetensors")
    ended = trained.parameters(Path(job.trace), WHOLE.model)
    assert all(torch.equal(ended[name], begun[name] + STEPS) for name in begun)


def test_the_first_steps_alone(job: Job) -> None:
    with pytest.raises(Enough):
        train(job, "first")
    assert reader.read(Path(job.trace)).steps == trainings.WEIGHED
    assert not (Path(job.trace) / TRAINED_STEPS).exists()
    assert not (Path(job.trace) / tensors_file(4)).exists()


def test_a_training_that_ended_early_or_was_edited_is_none(job: Job) -> None:
    train(job, "whole")
    folder = Path(job.trace)
    assert TRAINED_STEPS not in json.loads((folder / END).read_text())["files"]
    lines = (folder / TRAINED_STEPS).read_text().splitlines()
    (folder / TRAINED_STEPS).write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(UnreadableTrace, match="has 4 steps, expected 5"):
        trained.steps(folder, STEPS)
    (folder / TRAINED_STEPS).write_text("\n".join([*lines[:2], *lines[3:], lines[2]]) + "\n")
    with pytest.raises(UnreadableTrace, match="step is 3, expected 2"):
        trained.steps(folder, STEPS)
    save_file({"a": torch.ones(1)}, folder / TRAINED_PARAMETERS)
    with pytest.raises(UnreadableTrace, match="train again"):
        trained.parameters(folder, WHOLE.model)
