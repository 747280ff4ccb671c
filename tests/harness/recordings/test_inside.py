"""Trainings whose head tells nothing: a trained matrix of the last layer is asked instead, or none can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from harness.recordings import reader, telling, weighing
from harness.recordings.telling import Told
from tests.harness.recordings import loops

EVERY = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def told(folder: Path, model: nn.Module, **how: Any) -> Told:
    loops.record(folder, lambda: loops.train(model, **how))
    return telling.tell(reader.read(folder))


def right(found: Told) -> bool:
    (sentence,) = found.sentences
    return "every trained token" in sentence and "/110: a mean over the tokens of the window" in sentence


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=loops.VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, eos_token_id=loops.END, pad_token_id=loops.PAD,
    )  # fmt: skip
    model: nn.Module = transformers.GPT2LMHeadModel(config).train()
    return model


def frozen(model: Any) -> nn.Module:
    model.get_output_embeddings().weight.requires_grad_(False)
    whole: nn.Module = model
    return whole


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (lambda: frozen(loops.llama()), "model.layers.1.mlp.down_proj.weight"),
        (lambda: frozen(loops.llama(tied=True)), "model.layers.1.mlp.down_proj.weight"),
        (lambda: frozen(gpt2()), "transformer.h.1.mlp.c_proj.weight"),
        (lambda: loops.adapted(loops.llama(), *EVERY), "model.layers.1.mlp.down_proj.up.weight"),
    ],
    ids=["llama", "tied", "gpt2", "adapters"],
)
def test_a_frozen_head(tmp_path: Path, model: Any, asked: str) -> None:
    found = told(tmp_path, model(), clip=0.05)
    assert right(found)
    assert not found.findings
    assert not found.unknown
    recording = reader.read(tmp_path)
    assert {part.line.asked for parts in recording.steps.values() for part in parts} == {asked}
    assert all(weighing.weigh(recording, number).residual < 1e-5 for number in recording.steps)


@pytest.mark.parametrize("reentrant", [True, False])
def test_layers_that_are_run_again_for_their_gradient(tmp_path: Path, reentrant: bool) -> None:
    model: Any = loops.adapted(loops.llama(), *EVERY)
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    found = told(tmp_path, model)
    assert right(found)
    assert not found.unknown


def test_what_is_wrong_is_found_by_adapters_as_well(tmp_path: Path) -> None:
    found = told(tmp_path, loops.adapted(loops.llama(), *EVERY), loss=loops.undivided, clip=None)
    assert {f.code for f in found.findings} == {"weights.scale"}
    assert all("4 times what it should be: gradient_accumulation_steps" in f.message for f in found.findings)


def test_adapters_that_tell_nothing_are_unknown(tmp_path: Path) -> None:
    found = told(tmp_path, loops.adapted(loops.llama(), "gate_proj"))
    why = "the head is frozen, and no trained matrix of the last layer is called"
    assert found.unknown == tuple(f"the weights of step {n}'s tokens: {why}" for n in range(3))
    assert not found.findings
    assert not found.sentences
