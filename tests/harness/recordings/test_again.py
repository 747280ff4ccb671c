"""Adapters in the attention of the last layer: no outer product has a token's gradient, and the layer is run again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from harness.recordings import reader, weighing
from tests.harness.recordings import loops
from tests.harness.recordings.test_inside import frozen, right, told

ATTENTION = ("q_proj", "v_proj")


def attending(*ends: str, dropout: float = 0.0) -> Any:
    model: Any = loops.adapted(loops.llama(), *(ends or ATTENTION))
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = dropout
    return model


@pytest.mark.parametrize(
    ("ends", "asked"),
    [
        (("q_proj", "v_proj"), "v_proj"),
        (("k_proj", "o_proj"), "o_proj"),
        (("v_proj", "gate_proj"), "v_proj"),
    ],
)
def test_adapters_of_attention(tmp_path: Path, ends: tuple[str, ...], asked: str) -> None:
    found = told(tmp_path, attending(*ends), clip=None)
    assert right(found), found
    assert not found.findings
    assert not found.unknown
    recording = reader.read(tmp_path)
    names = {part.line.asked for parts in recording.steps.values() for part in parts}
    assert names == {f"model.layers.1.self_attn.{asked}.up.weight"}
    assert all(weighing.weigh(recording, number).residual < 1e-5 for number in recording.steps)


@pytest.mark.parametrize("reentrant", [None, True, False])
def test_dropout_is_drawn_again_as_it_was(tmp_path: Path, reentrant: bool | None) -> None:
    """Also where layers are run again for their gradient."""
    model = attending(dropout=0.2)
    if reentrant is not None:
        model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        model.enable_input_require_grads()
    found = told(tmp_path, model)
    assert right(found), found
    assert not found.unknown


def test_the_training_is_the_same(tmp_path: Path) -> None:
    """To the bit, and so are the random numbers behind it."""
    after = []
    for watched in (True, False):
        model = attending(dropout=0.2)
        torch.manual_seed(5)
        if watched:
            loops.record(tmp_path, partial(loops.train, model))
        else:
            loops.train(model)
        after.append([torch.rand(3), *(p.detach() for p in model.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*after, strict=True))


@pytest.mark.parametrize(
    ("loss", "clip", "codes"),
    [(loops.undivided, None, {"weights.scale"}), (loops.mean_of_means, 1.0, set())],
    ids=["scaled", "means"],
)
def test_what_is_wrong_is_found(tmp_path: Path, loss: loops.Loss, clip: float | None, codes: set[str]) -> None:
    found = told(tmp_path, attending(), loss=loss, clip=clip)
    assert {f.code for f in found.findings} == codes
    assert not found.unknown
    said = "4 times what it should be" if codes else "a mean over the micro-batches, each averaged by itself"
    assert any(said in text for text in (*found.sentences, *(f.message for f in found.findings)))


def test_a_micro_batch_that_is_lost(tmp_path: Path) -> None:
    def lose(number: int, model: nn.Module) -> None:
        if number == 1:
            model.zero_grad()

    found = told(tmp_path, attending(), after=lose)
    assert {f.code for f in found.findings} == {"weights.dropped-micro-batches"}


def test_a_layer_that_is_changed_behind_is_unknown(tmp_path: Path) -> None:
    model = attending()
    model.model.layers[-1].register_forward_hook(lambda *_: (_[2][0] if isinstance(_[2], tuple) else _[2]) * 1.5)
    found = told(tmp_path, model)
    assert found.unknown
    assert all("the last layer gives something else when it is run again" in why for why in found.unknown)


def test_queries_alone_tell_nothing_of_the_first_token(tmp_path: Path) -> None:
    found = told(tmp_path, attending("q_proj"), clip=None)
    assert len(found.unknown) == 3
    assert all("some tokens have no gradient in the last attention's matrix" in why for why in found.unknown)
    assert not found.findings


@pytest.mark.parametrize("family", ["Mixtral", "Gemma2"])
def test_families_whose_last_layer_does_not_just_add(tmp_path: Path, family: str) -> None:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=loops.VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=loops.PAD, eos_token_id=loops.END,
        **({"head_dim": 8} if family == "Gemma2" else {"num_local_experts": 4}),
    )  # fmt: skip
    found = told(tmp_path, frozen(getattr(transformers, f"{family}ForCausalLM")(config).train()))
    assert right(found), found
    assert not found.unknown
