"""Recorded trainings, right and wrong: what is said of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.recordings import reader, telling
from harness.recordings.telling import Told
from tests.harness.recordings import loops


def told(folder: Path, model: nn.Module | None = None, **how: Any) -> Told:
    trained = model or loops.llama()
    loops.record(folder, lambda: loops.train(trained, **how))
    return telling.tell(reader.read(folder))


def codes(found: Told) -> list[str]:
    return sorted({finding.code for finding in found.findings})


def test_a_right_training(tmp_path: Path) -> None:
    found = told(tmp_path, clip=0.5)
    (sentence,) = found.sentences
    assert sentence.startswith("steps 0, 1, 2: every trained token of 4 micro-batches on 1 rank weighs 0.")
    assert "/110: a mean over the tokens of the window, clipped " in sentence
    assert sentence.endswith(" -> 0.5")
    assert not found.findings
    assert not found.unknown
    assert [group.rate for group in found.groups] == pytest.approx([1e-3] * 3, rel=1e-4)
    assert [group.decay for group in found.groups] == pytest.approx([0.01] * 3, rel=0.05)


def test_tied_embeddings(tmp_path: Path) -> None:
    found = told(tmp_path, loops.llama(tied=True))
    assert "a mean over the tokens of the window" in found.sentences[0]
    assert not found.findings
    assert not found.unknown


def test_the_mean_of_micro_batch_means(tmp_path: Path) -> None:
    found = told(tmp_path, loss=loops.mean_of_means)
    (sentence,) = found.sentences
    assert "a mean over the micro-batches, each averaged by itself" in sentence


def test_a_gradient_that_accumulation_multiplies(tmp_path: Path) -> None:
    found = told(tmp_path, loss=loops.undivided, clip=None)
    assert codes(found) == ["weights.scale"]
    assert all("4 times what it should be: gradient_accumulation_steps" in f.message for f in found.findings)


def test_micro_batches_that_never_reach_the_optimizer(tmp_path: Path) -> None:
    def forget(number: int, model: nn.Module) -> None:
        if number == 1:  # what came before is lost
            model.zero_grad()

    found = told(tmp_path, after=forget)
    assert codes(found) == ["weights.dropped-micro-batches"]
    assert found.findings[0].message == "step 0: micro-batches 0 and 1 of 4 never reached the optimizer"


def test_gradients_that_are_never_zeroed(tmp_path: Path) -> None:
    found = told(tmp_path, zero=False, clip=None)
    assert codes(found) == ["weights.residual"]
    assert {f.step for f in found.findings} == {1, 2}
    assert "the gradient of the step before is still in it" in found.findings[0].message


def test_a_first_step_without_a_rate(tmp_path: Path) -> None:
    found = told(tmp_path, rate=lambda step: 1e-3 * min(step, 1))
    assert [f.message for f in found.findings] == ["step 0 moved nothing: its learning rate is 0"]


def test_trained_padding(tmp_path: Path) -> None:
    def everything(model: nn.Module, one: loops.MicroBatch, every: int) -> torch.Tensor:
        logits = model(input_ids=one.ids, labels=one.labels, attention_mask=one.attended).logits[:, :-1]
        labels = torch.where(one.attended[:, :-1] == 1, one.ids[:, 1:], -100)
        flat = logits.reshape(-1, loops.VOCABULARY)
        return nn.functional.cross_entropy(flat, labels.reshape(-1), reduction="sum") / every

    found = told(tmp_path, loss=everything)
    assert "weights.mask" in codes(found)
    assert any("padding" in f.message for f in found.findings)


def test_without_labels_the_weights_tell_what_is_trained(tmp_path: Path) -> None:
    def unlabelled(model: nn.Module, one: loops.MicroBatch, every: int) -> torch.Tensor:
        logits = model(input_ids=one.ids, attention_mask=one.attended).logits[:, :-1]
        flat = logits.reshape(-1, loops.VOCABULARY)
        return nn.functional.cross_entropy(flat, one.labels[:, 1:].reshape(-1), reduction="sum") / every

    found = told(tmp_path, loss=unlabelled)
    assert "/110 (no labels told which are to be trained: the weights do): a mean over the tokens" in found.sentences[0]
    assert not found.findings


def test_rows_that_are_there_twice_can_be_told_together(tmp_path: Path) -> None:
    """Equal texts have equal gradients, of which only the sum can be told: it is dealt out evenly."""

    def twice(model: nn.Module, one: loops.MicroBatch, every: int) -> torch.Tensor:
        doubled = loops.MicroBatch(*(torch.cat((part, part)) for part in (one.ids, one.labels, one.attended)))
        return loops.token_mean(model, doubled, 2 * every)

    found = told(tmp_path, loss=twice)
    assert "/220: a mean over the tokens of the window" in found.sentences[0]
    assert not found.findings
    assert not found.unknown


def test_a_step_whose_tokens_have_no_gradient_is_unknown(tmp_path: Path) -> None:
    """The head is given nothing but zeros, until the first step has moved the norm."""
    model = loops.llama()
    with torch.no_grad():
        model.get_parameter("model.norm.weight").zero_()
    found = told(tmp_path, model)
    assert found.unknown == ("the weights of step 0's tokens: the optimizer consumed no gradient of the head",)
    assert found.sentences[0].startswith("steps 1, 2: every trained token")


def test_bfloat16(tmp_path: Path) -> None:
    def coarse(model: nn.Module, one: loops.MicroBatch, every: int) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loops.token_mean(model, one, every)

    found = told(tmp_path, loss=coarse)
    assert "a mean over the tokens of the window" in found.sentences[0]
    assert not found.findings


def test_a_training_is_not_changed_by_being_watched(tmp_path: Path) -> None:
    watched, alone = loops.llama(), loops.llama()
    loops.record(tmp_path, lambda: loops.train(watched))
    loops.train(alone)
    for (name, mine), theirs in zip(watched.named_parameters(), alone.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_an_error_in_the_recorder_ends_the_recording_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lockstep_recorder import samples

    def broken(*_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(samples, "groups", broken)
    model = loops.llama()
    loops.record(tmp_path, lambda: loops.train(model))
    assert capsys.readouterr().err == "lockstep: the recording ends at step 0: RuntimeError: no such thing\n"
    found = telling.tell(reader.read(tmp_path))
    assert "recording ended early: RuntimeError" in found.unknown  # messages of others may hold a path


def test_other_hooks_of_the_optimizer_go_on_when_the_recording_ends(tmp_path: Path) -> None:
    """The watcher ends in its own hook of the last watched step, which is followed by somebody else's."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    seen = []

    def train() -> None:
        handle = register_optimizer_step_post_hook(lambda *_: seen.append(1))
        try:
            loops.train(loops.llama(), steps=5)
        finally:
            handle.remove()

    loops.record(tmp_path, train)
    assert len(seen) == 5
