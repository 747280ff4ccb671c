"""The oracle's forward passes against transformers' models, both in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import scenarios
from adapters.contract import Model
from harness.oracle import forward

pytest.importorskip("transformers")

from tests.harness.oracle.architectures.exact import causal_lm, parameters, softmax_in_float64

SMALL = Model(vocab_size=24, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=20, init_std=0.3)
GPT2 = replace(SMALL, architecture="gpt2", kv_heads=2, max_positions=40, tied_embeddings=True)
GEMMA2 = replace(SMALL, architecture="gemma2", tied_embeddings=True, attention_softcap=0.7, final_softcap=1.1)
GEOMETRIES = {
    "base": Model(init_std=0.2),
    "one-layer": SMALL,
    "three-layers": replace(SMALL, layers=3),
    "every-head-its-own": replace(SMALL, heads=4, kv_heads=4),
    "four-heads-share-one": replace(SMALL, heads=4, kv_heads=1),
    "two-and-two-share": replace(SMALL, heads=4, kv_heads=2),
    "tied": replace(SMALL, tied_embeddings=True),
    "other-rope": replace(SMALL, rope_theta=500.0),
    "large-eps": replace(SMALL, rms_eps=0.1),
    "qwen2": replace(SMALL, architecture="qwen2"),
    "qwen2-tied": replace(SMALL, architecture="qwen2", layers=2, heads=4, tied_embeddings=True),
    "qwen3": replace(SMALL, architecture="qwen3"),
    "qwen3-tied": replace(SMALL, architecture="qwen3", layers=2, heads=4, rms_eps=0.1, tied_embeddings=True),
    "gpt2": GPT2,
    "gpt2-deep": replace(GPT2, layers=3, heads=4, kv_heads=4, rms_eps=0.1),
    "gemma2": GEMMA2,
    "gemma2-deep": replace(GEMMA2, layers=3, heads=4, rms_eps=0.1),
    "gpt2-untied": replace(GPT2, tied_embeddings=False),
    "gemma2-untied": replace(GEMMA2, tied_embeddings=False),
    "gemma2-without-caps": replace(GEMMA2, attention_softcap=None, final_softcap=None),
    **{name: scenarios.get(name).model for name in ("sft-ragged-qwen2", "sft-ragged-qwen3")},
    **{name: scenarios.get(name).model for name in ("sft-ragged-gpt2", "sft-ragged-gemma")},
}


def tokens(model: Model, length: int, seed: int = 1) -> Tensor:
    """None of them the padding (0), whose embedding transformers does not train."""
    return torch.randint(1, model.vocab_size, (length,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("length", [2, 19])
def test_losses_and_logits_are_those_of_transformers(name: str, length: int) -> None:
    model = GEOMETRIES[name]
    values, ids = parameters(model), tokens(model, length)
    with torch.no_grad(), softmax_in_float64():
        theirs = causal_lm(model, values)(ids[None]).logits[0]
        ours = forward.logits(values, model, ids, torch.arange(length), torch.zeros_like(ids))
        losses = forward.losses(values, model, ids)
    assert ours.dtype == losses.dtype == torch.float64
    assert (ours - theirs).abs().max() < 1e-10 * theirs.abs().max()
    right = torch.nn.functional.cross_entropy(theirs[:-1], ids[1:], reduction="none")
    assert (losses - right).abs().max() < 1e-10


@pytest.mark.parametrize(
    "name", ["base", "tied", "four-heads-share-one", "qwen2-tied", "qwen3", "gpt2-deep", "gemma2-deep"]
)
def test_gradients_are_those_of_transformers(name: str) -> None:
    model = GEOMETRIES[name]
    values, ids = {n: v.requires_grad_() for n, v in parameters(model).items()}, tokens(model, 11)
    ours = torch.autograd.grad(forward.losses(values, model, ids).sum(), list(values.values()))
    theirs = causal_lm(model, {n: v.detach() for n, v in values.items()})
    with softmax_in_float64():
        logits = theirs(ids[None]).logits[0, :-1]
    torch.nn.functional.cross_entropy(logits, ids[1:], reduction="sum").backward()
    for (key, p), gradient in zip(theirs.named_parameters(), ours, strict=True):
        assert (gradient - p.grad).abs().max() < 1e-10 * max(1.0, float(p.grad.abs().max())), key


@pytest.mark.parametrize("name", ["one-layer", "two-and-two-share", "qwen2", "qwen3", "gpt2", "gemma2-deep"])
def test_packed_segments_are_those_of_transformers_with_a_block_mask(name: str) -> None:
    model = GEOMETRIES[name]
    values = parameters(model)
    rows = [tokens(model, n, seed=n).tolist() for n in (5, 2, 9)]
    ids, positions, first = forward.joined(rows)
    row_of = torch.tensor([i for i, row in enumerate(rows) for _ in row])
    index = torch.arange(len(ids))
    allowed = (row_of[:, None] == row_of[None, :]) & (index[None, :] <= index[:, None])
    mask = torch.zeros(allowed.shape, dtype=torch.float64).masked_fill(~allowed, torch.finfo(torch.float64).min)
    with torch.no_grad(), softmax_in_float64():
        theirs = causal_lm(model, values)(
            ids[None], attention_mask=mask[None, None], position_ids=positions[None]
        ).logits
        ours = forward.logits(values, model, ids, positions, first)
        # The boundary tokens are predicted from the row before; all others as in a pass of their own.
        packed = forward.losses(values, model, ids, positions, first)
        alone = [forward.losses(values, model, torch.tensor(row)) for row in rows]
    assert (ours - theirs[0]).abs().max() < 1e-10 * theirs.abs().max()
    inside = (row_of[1:] == row_of[:-1]).nonzero().squeeze(1)
    assert (packed[inside] - torch.cat(alone)).abs().max() < 1e-12


def test_positions_and_reach_matter() -> None:
    """Else the tests above would hold for a pass that ignores them."""
    values, ids = parameters(SMALL), tokens(SMALL, 8)
    plain = forward.losses(values, SMALL, ids)
    shifted = forward.losses(values, SMALL, ids, torch.arange(8) + 5)
    stretched = forward.losses(values, SMALL, ids, torch.arange(8) * 2)
    near = forward.losses(values, SMALL, ids, None, torch.tensor([0, 0, 0, 0, 4, 4, 4, 4]))
    assert (plain - shifted).abs().max() < 1e-12  # rotary angles are relative
    assert (plain - stretched).abs().max() > 1e-4
    assert (plain[:4] - near[:4]).abs().max() < 1e-15
    assert (plain[4:] - near[4:]).abs().max() > 1e-4


def test_bfloat16_has_float32_losses() -> None:
    values = {n: v.bfloat16() for n, v in parameters(SMALL).items()}
    exact = forward.losses(parameters(SMALL), SMALL, tokens(SMALL, 8))
    coarse = forward.losses(values, SMALL, tokens(SMALL, 8))
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().max() < 0.2


def test_joined_counts_each_row_from_its_start() -> None:
    ids, positions, first = forward.joined([[7, 8, 9], [5], [6, 6]])
    assert ids.tolist() == [7, 8, 9, 5, 6, 6]
    assert positions.tolist() == [0, 1, 2, 0, 0, 1]
    assert first.tolist() == [0, 0, 0, 3, 4, 4]
