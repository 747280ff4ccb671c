"""The callback below transformers' own handler of callbacks, around a small loop; `tests/frameworks/test_callback.py`
has it in a real Trainer."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import CallbackHandler

from harness.recordings import reader
from lockstep_recorder.callback import LockstepCallback
from tests.harness.recordings import loops


class OfTheUsers(TrainerCallback):
    """Looks for a loss in whatever is logged, and breaks without one."""

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        assert logs["loss"]


def train(callback: TrainerCallback, folder: Path, steps: int = 3, model: nn.Module | None = None) -> nn.Module:
    """As a Trainer calls its callbacks, those that report before the user's."""
    model = model or loops.llama()
    reporting = TensorBoardCallback(SummaryWriter(str(folder / "events")))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    handler = CallbackHandler([reporting, callback, OfTheUsers()], model, None, optimizer, None)
    state, control = TrainerState(), TrainerControl()
    arguments = SimpleNamespace(to_json_string=lambda: "{}")
    handler.call_event("on_train_begin", arguments, state, control)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        window = loops.batches(generator)
        for one in window:
            loops.token_mean(model, one, sum(each.trained for each in window)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        state.global_step = step + 1
        control.should_log = True
        handler.call_event("on_step_end", arguments, state, control)
        assert control.should_log
    handler.call_event("on_train_end", arguments, state, control)
    return model


def said(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """By Lockstep, on stderr."""
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("lockstep: ")]


def logged(folder: Path) -> dict[str, dict[int, float]]:
    events = EventAccumulator(str(folder / "events")).Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_watched_steps_are_logged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(LockstepCallback(tmp_path / "out", steps=[0, 2]), tmp_path)
    found = logged(tmp_path)
    assert {tag.removeprefix("train/lockstep/") for tag in found} == {
        "unknown", "learning_rate", "residual", "tokens_without_weight", "trained_without_weight",
        "largest_over_smallest", "clip_coefficient",
    }  # fmt: skip
    assert all(list(values) == [1, 3] for values in found.values())
    assert found["train/lockstep/learning_rate"][1] == pytest.approx(1e-3, rel=1e-3)
    assert found["train/lockstep/largest_over_smallest"][3] == pytest.approx(1.0, abs=1e-4)
    assert found["train/lockstep/clip_coefficient"][1] == pytest.approx(0.5 / 0.804387, rel=1e-4)
    assert found["train/lockstep/residual"][1] < 1e-4
    assert found["train/lockstep/trained_without_weight"][1] == 0.0
    assert list(reader.read(tmp_path / "out").steps) == [0, 2]
    assert said(capfd) == []


def test_where_lockstep_is_not_installed_it_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "harness.recordings.metrics", None)
    monkeypatch.delattr("harness.recordings.metrics", raising=False)
    train(LockstepCallback(tmp_path / "out"), tmp_path)
    (line,) = said(capfd)
    assert line.startswith("lockstep: nothing is logged from here on: ImportError: Lockstep is not installed here")
    assert list(reader.read(tmp_path / "out").steps) == [0, 1, 2]
    assert not logged(tmp_path)


def test_what_is_no_language_model_is_trained_unwatched(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    callback = LockstepCallback(tmp_path / "out")
    callback.on_train_begin(None, None, None, model=nn.Linear(2, 2))
    callback.on_step_end(None, TrainerState(), None)
    callback.on_train_end(None, None, None)
    (line,) = said(capfd)
    assert line.startswith("lockstep: nothing is recorded from here on: ValueError: Linear has no output head")


def test_a_step_that_is_unknown_is_logged_as_that(tmp_path: Path) -> None:
    model = loops.llama()
    with torch.no_grad():
        model.get_parameter("model.norm.weight").zero_()
    train(LockstepCallback(tmp_path / "out", steps=[0]), tmp_path, steps=1, model=model)
    found = logged(tmp_path)
    assert found["train/lockstep/unknown"] == {1: 1.0}
    assert "train/lockstep/residual" not in found


def test_a_training_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    watched = train(LockstepCallback(tmp_path / "out"), tmp_path / "one")
    alone = train(TrainerCallback(), tmp_path / "other")
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), alone.parameters(), strict=True))
