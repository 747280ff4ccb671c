"""What the Trainer's frameworks share: a step is recorded when it is over, however it is logged; the schedule."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState, TrainingArguments, get_scheduler
from transformers.trainer_callback import CallbackHandler

import scenarios
from adapters.contract import Job, Schedule, steps_file, tensors_file, vary
from adapters.families import hf_trainer
from adapters.inside.recorder import Recorder

Logs = Mapping[str, float]

THREE = [{"loss": 4.25183, "grad_norm": 1.5, "learning_rate": 1e-3}] * 3
NOTHING: Logs = {}


class Model(torch.nn.Module):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return (self.weight * input_ids).sum()


class Run:
    """A model of one weight, through the Trainer's events in the Trainer's order."""

    def __init__(self, folder: Path, told: bool = True) -> None:
        job = Job("a", "trl", "1", scenarios.get("sft-ragged"), "checkpoint", str(folder))
        self.folder = folder
        self.model = Model()
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1.0, weight_decay=0.0)
        wrapper = SimpleNamespace(optimizer=optimizer)
        self.state, self.control = TrainerState(), TrainerControl()
        recording = hf_trainer.Recording(job, Recorder(job, 0, 1, ()), 0)
        self.events = CallbackHandler([recording], self.model, None, wrapper if told else None, None)
        if not told:  # as transformers 4.49.0 has it
            self.state.optimizer = wrapper
        self.optimizer = optimizer
        self.arguments: TrainingArguments | None = None

    def call(self, event: str, **more: object) -> None:
        self.events.call_event(event, self.arguments, self.state, self.control, **more)

    def train(self, logs: Sequence[Logs]) -> Run:
        """A step for each of `logs`, and that log behind it unless it is empty."""
        self.call("on_train_begin")
        for log in logs:
            self.call("on_step_begin")
            self.model(input_ids=torch.ones(1, 1)).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.state.global_step += 1
            self.call("on_step_end")
            if log:
                self.call("on_log", logs=dict(log))
        self.call("on_log", logs={"train_loss": 4.0, "train_runtime": 1.0})
        self.call("on_train_end")
        return self

    @property
    def reported(self) -> list[tuple[float | None, float | None]]:
        """Loss and gradient norm of each step."""
        lines = map(json.loads, (self.folder / steps_file(0)).read_text().splitlines())
        return [(line["loss"], line["grad_norm"]) for line in lines]

    @property
    def weights(self) -> list[float]:
        """Before the first step and after each."""
        files = [self.folder / tensors_file(step) for step in range(len(self.reported) + 1)]
        return [round(float(load_file(file)["param/weight"]), 4) for file in files]


@pytest.mark.parametrize(
    ("logs", "reported"),
    [
        (THREE, [(4.25183, 1.5)] * 3),
        ([NOTHING] * 3, [(None, None)] * 3),
        # a log every second step tells the mean of both losses
        ([NOTHING, THREE[0], NOTHING], [(None, None), (None, 1.5), (None, None)]),
        ([NOTHING, THREE[0], THREE[0]], [(None, None), (None, 1.5), (4.25183, 1.5)]),
    ],
)
def test_every_step_is_recorded_once_whatever_is_logged(
    tmp_path: Path, logs: Sequence[Logs], reported: list[object]
) -> None:
    run = Run(tmp_path).train(logs)
    assert run.reported == reported
    assert run.weights == [0.0, -1.0, -2.0, -3.0]


def test_the_optimizer_is_found_where_callbacks_are_told_of_none(tmp_path: Path) -> None:
    run = Run(tmp_path, told=False).train(THREE)
    assert len(run.reported) == 3
    assert "exp_avg/weight" in load_file(tmp_path / tensors_file(3))


@given(st.floats(2.0**-10, 20.0, width=32))
def test_a_loss_that_was_rounded_is_no_loss(loss: float) -> None:
    assert hf_trainer.unrounded(round(loss, 4)) is None
    assert hf_trainer.unrounded(loss) == (None if round(loss, 4) == loss else loss)


@pytest.mark.parametrize("loss", [0.0, float("inf"), 4.930348396, 2.0 / 3.0])
def test_a_loss_that_is_wrong_however_it_was_rounded_is_told(loss: float) -> None:
    assert hf_trainer.unrounded(loss) == loss


@given(steps=st.integers(1, 6), warmup=st.integers(0, 8))
def test_the_schedule_is_the_scenarios_and_does_not_fall_back_after_the_last_step(steps: int, warmup: int) -> None:
    scenario = vary(scenarios.get("sft-ragged"), schedule=Schedule(warmup_steps=warmup), steps=steps)
    given_ = hf_trainer.arguments(scenario, [])
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=scenario.optimizer.learning_rate)
    schedule = get_scheduler(
        given_["lr_scheduler_type"],
        optimizer,
        num_warmup_steps=given_.get("warmup_steps", 0),
        num_training_steps=steps,
        scheduler_specific_kwargs=given_.get("lr_scheduler_kwargs"),
    )
    for step in range(steps + 1):
        assert schedule.get_last_lr()[0] == pytest.approx(scenario.learning_rate_at(step))
        optimizer.step()
        schedule.step()
