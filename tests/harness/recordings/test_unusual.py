"""Right trainings of an unusual make: none is accused, and what cannot be told of them is unknown with its reason."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from harness.recordings import reader, telling
from harness.recordings.telling import Told
from lockstep_recorder import Settings, watch
from lockstep_recorder.watcher import Watcher
from tests.harness.recordings import loops

Step = Callable[[nn.Module, list[loops.MicroBatch]], None]
MEAN = "a mean over the tokens of the window"


def told(folder: Path, training: Callable[[], None]) -> Told:
    loops.record(folder, training)
    return telling.tell(reader.read(folder))


def windows(count: int = 3) -> list[list[loops.MicroBatch]]:
    generator = torch.Generator().manual_seed(1)
    return [loops.batches(generator) for _ in range(count)]


def losses(model: nn.Module, window: list[loops.MicroBatch]) -> list[Tensor]:
    trained = sum(one.trained for one in window)
    return [loops.token_mean(model, one, trained) for one in window]


def adam(model: nn.Module, **more: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, **more)


def test_steps_that_an_overflow_of_fp16_has_skipped(tmp_path: Path) -> None:
    """The scaler skips the first window without a word."""

    def train() -> None:
        model = loops.llama()
        optimizer, scaler = adam(model), torch.amp.GradScaler("cpu", init_scale=4.0)
        for number, window in enumerate(windows(4)):
            for loss in losses(model, window):
                torch.autograd.backward(scaler.scale(loss * (torch.inf if number == 0 else 1.0)))
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()

    found = told(tmp_path, train)
    assert not found.findings
    assert not found.unknown
    assert f"of 4 micro-batches on 1 rank weighs 1/110: {MEAN}" in found.sentences[0]


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_an_optimizer_that_calls_the_model_itself(tmp_path: Path, kind: str) -> None:
    """In the first step nobody has seen the model before."""

    def train() -> None:
        model = loops.llama()
        optimizer = adam(model) if kind == "adamw" else torch.optim.SGD(model.parameters(), lr=1e-2)
        for window in windows():

            def closure(window: list[loops.MicroBatch] = window) -> float:
                optimizer.zero_grad()
                each = losses(model, window)
                for loss in each:
                    torch.autograd.backward(loss)
                return float(torch.stack(each).detach().sum())

            optimizer.step(closure)

    found = told(tmp_path, train)
    assert not found.findings
    assert ("steps 1, 2: every trained token of 4 micro-batches" in "".join(found.sentences)) == (kind == "adamw")
    assert all("by a closure" in why for why in found.unknown)
    assert len(found.unknown) == (0 if kind == "adamw" else 2)


def stepped(
    optimizer_of: Callable[[nn.Module], torch.optim.Optimizer],
    model: nn.Module,
    before: Step = lambda model, window: None,
    after: Step = lambda model, window: None,
) -> None:
    """before, after: called around the backward passes of a window."""
    optimizer = optimizer_of(model)
    for window in windows():
        before(model, window)
        for loss in losses(model, window):
            torch.autograd.backward(loss)
        after(model, window)
        optimizer.step()
        optimizer.zero_grad()


def test_weight_decay_that_goes_into_the_gradient_is_unknown(tmp_path: Path) -> None:
    def l2(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=0.1)

    found = told(tmp_path, lambda: stepped(l2, loops.llama()))
    assert not found.findings
    assert len(found.unknown) == 3
    assert all("together with the gradient" in why for why in found.unknown)


def test_tokens_that_the_head_has_no_row_for(tmp_path: Path) -> None:
    """As those of images: they are in inputs, and never predicted."""

    model: Any = loops.llama()
    model.set_input_embeddings(nn.Embedding(loops.VOCABULARY + 8, 32))

    def with_images(_: nn.Module, window: list[loops.MicroBatch]) -> None:
        for one in window:
            one.ids[:, 1] = loops.VOCABULARY + 3

    found = told(tmp_path, lambda: stepped(adam, model, with_images))
    assert not found.findings
    assert not found.unknown
    assert MEAN in found.sentences[0]


def test_a_pass_that_was_broken_off(tmp_path: Path) -> None:
    """As by a memory that was full, which the loop catches; the next batch has the same shape."""

    def break_off(model: Any, window: list[loops.MicroBatch]) -> None:
        handle = model.model.layers[0].register_forward_pre_hook(lambda *_: 1 / 0)
        wrong = loops.MicroBatch(window[0].ids.flip(1).contiguous(), window[0].labels, window[0].attended)
        with pytest.raises(ZeroDivisionError):
            loops.token_mean(model, wrong, 110)
        handle.remove()

    found = told(tmp_path, lambda: stepped(adam, loops.llama(), break_off))
    assert not found.findings
    assert not found.unknown


def test_a_model_whose_last_norm_does_not_feed_its_head(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=loops.VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(config).train()
    found = told(tmp_path, lambda: stepped(adam, model))
    assert not found.findings
    assert len(found.unknown) == 3
    assert all("the head is not fed with what the last norm gives" in why for why in found.unknown)


def test_a_model_in_eval_mode_is_not_seen(tmp_path: Path) -> None:
    model = loops.llama().eval()
    optimizer = adam(model)
    with watch(model, optimizer, out=tmp_path / "out"):
        stepped(lambda _: optimizer, model)
    found = telling.tell(reader.read(tmp_path / "out"))
    assert not found.findings
    assert len(found.unknown) == 3
    assert all("no forward pass was seen, of a model in training mode" in why for why in found.unknown)


def test_copies_of_a_model_that_is_recorded_are_not(tmp_path: Path) -> None:
    def copied(model: nn.Module, window: list[loops.MicroBatch]) -> None:
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            losses(other, window)

    found = told(tmp_path, lambda: stepped(adam, loops.llama(), after=copied))
    assert not found.findings
    assert not found.unknown
    assert f"of 4 micro-batches on 1 rank weighs 1/110: {MEAN}" in found.sentences[0]


def test_an_error_leaves_no_path_in_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lockstep_recorder import store

    def broken(path: Path, _: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(store, "write_tensors", broken)
    loops.record(tmp_path, lambda: loops.train(loops.llama()))
    text = (tmp_path / "steps-r00.jsonl").read_text()
    assert "No such file or directory" in text
    assert str(tmp_path) not in text


def test_an_error_in_telling_of_an_error_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of ending may reach the training."""
    monkeypatch.setenv("RANK", "none")
    model, alone = loops.llama(), loops.llama()
    loops.record(tmp_path, lambda: loops.train(model))
    loops.train(alone)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), alone.parameters(), strict=True))


def test_a_training_that_is_over_keeps_no_memory(tmp_path: Path) -> None:
    """Though steps to come would be watched."""
    watcher = Watcher(Settings(str(tmp_path), (), 2))
    watcher.install()
    try:
        model = loops.llama()
        stepped(adam, model)
        there = weakref.ref(model)
        del model
        gc.collect()
        assert there() is None
        assert watcher.ended
    finally:
        watcher.end()
