"""What the recorder leaves on disk, and when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import scenarios
from adapters.contract import (
    CRASH,
    END,
    HEADER,
    Job,
    Shim,
    batches_file,
    hidden_file,
    memory_file,
    steps_file,
    tensors_file,
)
from adapters.inside.attention import PADDING
from adapters.inside.recorder import Recorder, bare_name

PAD = 0
BLOCKS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)[None, None]


class Config:
    pad_token_id: int | None = PAD


class Model(torch.nn.Module):
    """Takes what a Hugging Face model takes, in its order."""

    config = Config()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        return input_ids


def job(trace: Path, record: bool = True) -> Job:
    return Job("adapters.none", "none", "1.0", scenarios.get("sft-ragged"), "ck", str(trace), record=record)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def state(value: float) -> dict[str, Tensor]:
    flat = torch.full((6,), value)
    return {"a": flat[:4].view(2, 2), "b": flat[4:]}  # views of one buffer, as an optimizer hands them out


def record_a_run(trace: Path, rank: int = 0, record: bool = True) -> Recorder:
    recorder = Recorder(job(trace, record), rank, 2, [Shim("name", "reason")])
    model = Model()
    recorder.watch(model)
    recorder.begin(state(0.0))
    for step in range(2):
        model(torch.tensor([[5, 6]]))
        recorder.step(1.5, float("nan"), 1e-3, state(step + 1.0), state(0.5), state(0.25))
    return recorder


def test_the_header_is_there_before_anything_runs(tmp_path: Path) -> None:
    Recorder(job(tmp_path), 0, 2, [Shim("name", "reason")])
    header = json.loads((tmp_path / HEADER).read_text())
    assert header["scenario_hash"] == scenarios.get("sft-ragged").hash
    assert header["ranks"] == 2
    assert header["shims"] == [{"name": "name", "reason": "reason"}]
    assert "torch" in header["packages"]
    assert header["hardware"]["cores"] >= 1


def test_steps_and_tensors_are_there_as_soon_as_they_are_taken(tmp_path: Path) -> None:
    record_a_run(tmp_path)  # and never ended
    assert lines(tmp_path / steps_file(0)) == [
        {"step": k, "loss": 1.5, "grad_norm": "NaN", "learning_rate": 1e-3} for k in range(2)
    ]
    assert set(load_file(tmp_path / tensors_file(0))) == {"param/a", "param/b"}
    after = load_file(tmp_path / tensors_file(2))
    assert set(after) == {f"{group}/{name}" for group in ("param", "exp_avg", "exp_avg_sq") for name in "ab"}
    assert after["param/a"].tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert not (tmp_path / END).exists()


def test_steps_beyond_those_of_the_scenario_are_recorded_too(tmp_path: Path) -> None:
    recorder = record_a_run(tmp_path)
    for step in range(2, 5):  # of three
        assert recorder.due
        recorder.step(1.5, 1.0, 1e-3, state(step + 1.0), state(0.5), state(0.25))
    recorder.end()
    assert len(lines(tmp_path / steps_file(0))) == 5
    assert json.loads((tmp_path / END).read_text())["steps"] == 5


def test_other_ranks_write_parameters_only_and_no_header(tmp_path: Path) -> None:
    record_a_run(tmp_path, rank=1)
    assert set(load_file(tmp_path / tensors_file(1, 1))) == {"param/a", "param/b"}
    assert not (tmp_path / HEADER).exists()
    assert [line["rank"] for line in lines(tmp_path / batches_file(1))] == [1, 1]


def test_tensors_keep_their_dtype(tmp_path: Path) -> None:
    recorder = Recorder(job(tmp_path), 0, 1, [])
    recorder.begin({"a": torch.ones(2, dtype=torch.bfloat16)})
    assert load_file(tmp_path / tensors_file(0))["param/a"].dtype == torch.bfloat16


def test_the_end_has_the_digest_of_every_file_but_the_logs(tmp_path: Path) -> None:
    recorder = record_a_run(tmp_path)
    (tmp_path / "log-r00.txt").write_text("printed")
    (tmp_path / CRASH).write_text("{}")
    recorder.end()
    end = json.loads((tmp_path / END).read_text())
    assert end["steps"] == 2
    assert set(end["files"]) == {
        *(HEADER, steps_file(0), batches_file(0), memory_file(0)),
        *(tensors_file(k) for k in range(3)),
    }
    for name, digest in end["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_without_recording_there_are_steps_only(tmp_path: Path) -> None:
    record_a_run(tmp_path, record=False).end()
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [END, HEADER, steps_file(0)]


def test_no_partial_file_is_left(tmp_path: Path) -> None:
    record_a_run(tmp_path).end()
    assert not list(tmp_path.rglob("*.partial"))


def test_batches_are_what_the_model_received(tmp_path: Path) -> None:
    recorder = Recorder(job(tmp_path), 0, 1, [])
    model = Model()
    recorder.watch(model)
    ids = torch.tensor([[5, 6, 7], [8, 9, PAD]])
    labels = torch.tensor([[-100, 6, 7], [-100, 9, -100]])
    model(ids, torch.tensor([[1, 1, 1], [1, 1, 0]]), labels=labels)  # the mask is given by its place
    model(ids, position_ids=torch.tensor([[0, 1, 0], [0, 1, 2]]))
    recorder.step(None, None, None, {}, {}, {})
    model(ids)
    first, second, third = lines(tmp_path / batches_file(0))
    assert first["input_ids"] == ids.tolist()
    assert first["loss_mask"] == [[0, 1, 1], [0, 1, 0]]
    assert first["position_ids"] is None
    assert first["attention_start"] == [[0, 0, 0], [0, 0, PADDING]]
    assert second["loss_mask"] is None
    assert second["position_ids"] == [[0, 1, 0], [0, 1, 2]]
    assert [(b["step"], b["micro_batch"]) for b in (first, second, third)] == [(0, 0), (0, 1), (1, 0)]


def test_labels_of_the_kept_logits_alone_are_recorded_at_their_tokens(tmp_path: Path) -> None:
    """ms-swift hands over no others by default."""
    recorder = Recorder(job(tmp_path), 0, 1, [])
    model = Model()
    recorder.watch(model)
    ids = torch.tensor([[5, 6, 7, 8]])
    model(ids, labels=torch.tensor([[-100, 7, 8]]), logits_to_keep=torch.tensor([False, True, True, True]))
    model(ids, labels=torch.tensor([[7, 8]]), logits_to_keep=2)
    assert [line["loss_mask"] for line in lines(tmp_path / batches_file(0))] == [[[0, 0, 1, 1]], [[0, 0, 0, 1]]]
    with pytest.raises(ValueError, match=r"labels of shape \[1, 2\] do not fit input_ids of shape \[1, 4\]"):
        model(ids, labels=torch.tensor([[7, 8]]))


class Attention(torch.nn.Module):
    """A layer that gets its mask by name, as those of transformers do."""

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        return hidden


class Packing(torch.nn.Module):
    """Makes a mask of its own from positions that restart, as transformers' models do where they are given none."""

    config = Config()

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None):
        made = None
        if attention_mask is None and position_ids is not None:
            piece = (position_ids == 0).cumsum(1)
            made = (piece[:, None, :, None] == piece[:, None, None, :]).tril()
        self.attention(input_ids, attention_mask=made)
        return self.attention(input_ids, attention_mask=made)  # computed again, as checkpointing does


def test_a_mask_that_the_model_makes_is_recorded(tmp_path: Path) -> None:
    recorder = Recorder(job(tmp_path), 0, 1, [])
    model = Packing()
    recorder.watch(model)
    model(torch.tensor([[5, 6, 7, 8, 9]]), position_ids=torch.tensor([[0, 1, 0, 1, 2]]))
    model(torch.tensor([[5, 6, PAD]]), torch.tensor([[1, 1, 0]]))
    first, second = lines(tmp_path / batches_file(0))
    assert first["attention_start"] == [[0, 0, 2, 2, 2]]
    assert second["attention_start"] == [[0, 0, PADDING]]
    assert [b["micro_batch"] for b in (first, second)] == [0, 1]


class Headed(Model):
    """A model that says which module is its head, which `final` feeds."""

    def __init__(self) -> None:
        super().__init__()
        self.final, self.head = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 10)

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.head

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        result: Tensor = self.head(self.final(input_ids))
        return result


def test_what_the_head_was_given_is_recorded_beside_each_step(tmp_path: Path) -> None:
    recorder = Recorder(job(tmp_path), 1, 2, [])
    model = Headed()
    recorder.watch(model)
    recorder.begin({})
    for _ in range(2):
        model(torch.tensor([[5, 6, 7], [8, PAD, PAD]]), torch.tensor([[1, 1, 1], [1, 0, 0]]))
        model(torch.tensor([[9, 5]]))
        recorder.step(None, None, None, {}, {}, {})
    for step in range(2):
        found = load_file(tmp_path / hidden_file(step, 1))
        assert found.keys() == {"hidden/0000", "hidden/0001"}
        assert torch.equal(found["hidden/0000"], model.final.weight[[5, 6, 8]])
        assert torch.equal(found["hidden/0001"], model.final.weight[[9]])


def test_a_model_that_names_no_head_leaves_no_such_file(tmp_path: Path) -> None:
    record_a_run(tmp_path)
    assert not list((tmp_path / "tensors").glob("hidden-*"))


def test_evaluation_is_not_recorded(tmp_path: Path) -> None:
    recorder = Recorder(job(tmp_path), 0, 1, [])
    model = Model().eval()
    recorder.watch(model)
    model(torch.tensor([[5]]))
    assert not (tmp_path / batches_file(0)).exists()


def test_where_a_checkpoint_names_no_padding_the_eos_pads(tmp_path: Path) -> None:
    """Found by drawing scenarios: packed rows that were filled up so were taken for another conversation."""

    class Unnamed(Config):
        pad_token_id = None
        eos_token_id = 3

    recorder, model = Recorder(job(tmp_path), 0, 1, []), Model()
    model.config = Unnamed()
    recorder.watch(model)
    model.train()(torch.tensor([[5, 3, 3, 3]]), BLOCKS)
    (line,) = lines(tmp_path / batches_file(0))
    assert line["attention_start"] == [[0, 0, PADDING, PADDING]]


def test_wrappers_are_taken_off_names() -> None:
    assert bare_name("module._fsdp_wrapped_module.model.norm.weight") == "model.norm.weight"
    assert bare_name("model.layers.0.mlp.up_proj.weight") == "model.layers.0.mlp.up_proj.weight"


def test_a_job_survives_the_wire() -> None:
    sent = replace(job(Path("t")), fault="mask")
    assert Job.loads(sent.dumps()) == sent
