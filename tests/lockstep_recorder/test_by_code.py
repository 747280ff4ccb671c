"""Recordings that code begins: which steps are counted, when they end, and how they are sealed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from harness import cli
from harness.recordings import reader
from harness.traces.text_files import UnreadableTrace
from lockstep_recorder import watch
from lockstep_recorder.by_code import unwrapped


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(300, 16), nn.LayerNorm(16), nn.Linear(16, 300, bias=False)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        return self.head(self.norm(self.embed(input_ids)))


def made() -> tuple[Model, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = Model().train()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3)


def train(model: nn.Module, optimizer: Any, steps: int = 4) -> None:
    draw = torch.Generator().manual_seed(1)
    for _ in range(steps):
        ids = torch.randint(300, (1, 9), generator=draw)
        nn.functional.cross_entropy(model(ids, labels=ids)[0, :-1], ids[0, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()


def optimizers(folder: Path) -> str:
    name: str = json.loads((folder / "recording.json").read_text())["optimizer"]
    return name


def steps(folder: Path) -> list[int]:
    return list(reader.read(folder).steps)


def test_a_block_is_recorded_sealed_and_judged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, optimizer = made()
    with watch(model, optimizer, out=tmp_path / "out"):
        train(model, optimizer, 2)
    assert steps(tmp_path / "out") == [0, 1]
    assert cli.call(["judge", str(tmp_path / "out")]) == 0
    assert "every trained token of 1 micro-batch on 1 rank weighs 1/8" in capfd.readouterr().out


def test_it_ends_and_is_sealed_behind_its_last_step(tmp_path: Path) -> None:
    model, optimizer = made()
    watch(model, out=str(tmp_path / "out"), steps=[2, 0])
    train(model, optimizer)
    assert steps(tmp_path / "out") == [0, 2]


def test_every_other_step(tmp_path: Path) -> None:
    model, optimizer = made()
    with watch(model, out=tmp_path / "out", every=2):
        train(model, optimizer, 5)
    assert steps(tmp_path / "out") == [0, 2, 4]


def test_nothing_is_watched_behind_the_block(tmp_path: Path) -> None:
    model, optimizer = made()
    with watch(model, out=tmp_path / "out", steps=range(9)):
        train(model, optimizer, 1)
    train(model, optimizer, 1)
    assert steps(tmp_path / "out") == [0]


def test_steps_of_the_named_optimizer_alone_are_counted(tmp_path: Path) -> None:
    model, optimizer = made()
    other = torch.optim.SGD(model.norm.parameters(), lr=1e-3)
    with watch(model, other, out=tmp_path / "named"), watch(model, out=tmp_path / "any"):
        train(model, other, 1)
        train(model, optimizer, 1)
    assert steps(tmp_path / "named") == [0]
    assert steps(tmp_path / "any") == [0]
    assert [optimizers(tmp_path / name) for name in ("named", "any")] == ["SGD", "AdamW"]  # this has the head


def test_two_models_are_kept_apart(tmp_path: Path) -> None:
    (one, mine), (other, theirs) = made(), made()
    with watch(one, out=tmp_path / "one"), watch(other, out=tmp_path / "other"):
        train(one, mine, 1)
        train(other, theirs, 2)
    assert (steps(tmp_path / "one"), steps(tmp_path / "other")) == ([0], [0, 1])


def test_hooks_of_others_go_on_when_it_ends_within_a_step(tmp_path: Path) -> None:
    """torch iterates over its hooks while it calls them: none is taken away within a step."""
    model, optimizer = made()
    called: list[int] = []
    with watch(model, out=tmp_path / "one", steps=[0]), watch(model, out=tmp_path / "other", steps=[1]):
        handle = register_optimizer_step_post_hook(lambda *_: called.append(1))
        train(model, optimizer, 3)
    handle.remove()
    assert len(called) == 3
    assert (steps(tmp_path / "one"), steps(tmp_path / "other")) == ([0], [1])


def test_a_training_is_not_changed(tmp_path: Path) -> None:
    (watched, mine), (alone, theirs) = made(), made()
    with watch(watched, mine, out=tmp_path / "out"):
        train(watched, mine)
    train(alone, theirs)
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), alone.parameters(), strict=True))


def test_an_error_of_the_training_goes_through_and_what_was_recorded_stays(tmp_path: Path) -> None:
    model, optimizer = made()

    def broken() -> None:
        with watch(model, out=tmp_path / "out"):
            train(model, optimizer, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert steps(tmp_path / "out") == [0]


def test_a_fork_does_not_end_it(tmp_path: Path) -> None:
    model, optimizer = made()
    with watch(model, out=tmp_path / "out") as watched:
        train(model, optimizer, 1)
        child = os.fork()
        if child == 0:
            watched.end()
            os._exit(0)
        os.waitpid(child, 0)
        assert not (tmp_path / "out/end.json").exists()
        train(model, optimizer, 1)
    assert steps(tmp_path / "out") == [0, 1]


def test_a_folder_that_holds_a_recording_is_refused(tmp_path: Path) -> None:
    model, optimizer = made()
    with watch(model, out=tmp_path / "out"):
        train(model, optimizer, 1)
    with pytest.raises(FileExistsError, match="a folder of its own"):
        watch(model, out=tmp_path / "out")


def test_what_is_no_language_model_is_refused_and_leaves_no_hook(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Linear has no output head"):
        watch(nn.Linear(3, 3), out=tmp_path / "out")
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_an_unsealed_recording_is_told_and_can_be_sealed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As one that a killed process has left."""
    out, (model, optimizer) = tmp_path / "out", made()
    with watch(model, out=out, steps=range(9)):
        train(model, optimizer, 1)
        assert cli.call(["judge", str(out)]) == 3
        (line,) = capfd.readouterr().err.splitlines()
        assert "was not sealed" in line
        assert f"lockstep seal {out}" in line
        assert cli.call(["seal", str(out)]) == 0
        assert cli.call(["judge", str(out)]) == 0
        capfd.readouterr()
        assert cli.call(["seal", str(out)]) == 2
        assert "sealed already" in capfd.readouterr().err


def test_a_disk_that_is_full_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    model, optimizer = made()
    with watch(model, out=tmp_path / "out"):
        train(model, optimizer, 1)
        monkeypatch.setattr("lockstep_recorder.sealing.seal", full)
    assert capfd.readouterr().err.startswith("lockstep: the recording is not sealed (OSError:")
    with pytest.raises(UnreadableTrace, match="was not sealed"):
        reader.read(tmp_path / "out")


def test_the_optimizer_in_accelerates_wrappers() -> None:
    """As accelerate 1.15 has them: `optimizer` is what was wrapped, whatever that is."""
    _, inner = made()
    wrapper = type("AcceleratedOptimizer", (), {"__module__": "accelerate.optimizer", "optimizer": inner})
    own = type("Own", (wrapper,), {"__module__": "somebody"})
    assert unwrapped(own()) is inner
    assert unwrapped(inner) is inner
    assert unwrapped(None) is None


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, lockstep_recorder; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
