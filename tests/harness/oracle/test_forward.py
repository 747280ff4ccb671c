"""The oracle's forward pass against transformers' Llama, both in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adapters.contract import Model
from harness.oracle import forward
from scenarios import checkpoint, weights

transformers = pytest.importorskip("transformers")

SMALL = Model(vocab_size=24, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=20, init_std=0.3)
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
}


# transformers computes the rotary angles and the norms in float32 even in a model that is all float64 (LlamaRMSNorm,
# LlamaRotaryEmbedding; models/llama/modeling_llama.py, 4.57.1), which alone would leave 1e-7 between the two. So the
# test puts the same formulas in float64 in their place. Its eager attention takes the softmax in float32 too; sdpa does
# not.


class Rotary(torch.nn.Module):
    """Su et al. 2021, eq. 15."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        steps = torch.arange(0, model.head_dim, 2, dtype=torch.float64)
        self.frequencies = 1.0 / (torch.tensor(model.rope_theta, dtype=torch.float64) ** (steps / model.head_dim))

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        angles = position_ids[..., None].double() * self.frequencies
        both = torch.cat((angles, angles), dim=-1)
        return both.cos(), both.sin()


def exact_norms(module: torch.nn.Module, model: Model) -> None:
    for name, child in module.named_children():
        if type(child).__name__ == "LlamaRMSNorm":
            setattr(module, name, torch.nn.RMSNorm(model.hidden_size, model.rms_eps, dtype=torch.float64))
        else:
            exact_norms(child, model)


def parameters(model: Model, seed: int = 0) -> dict[str, Tensor]:
    return {n: torch.from_numpy(v).double() for n, v in weights.initial(model, seed).items()}


def llama(model: Model, values: dict[str, Tensor]):
    config = transformers.LlamaConfig(**checkpoint.config(model), attn_implementation="sdpa")
    result = transformers.LlamaForCausalLM(config).double().eval()
    result.model.rotary_emb = Rotary(model)
    exact_norms(result, model)
    missing = result.load_state_dict(values, strict=False).missing_keys
    assert missing == (["lm_head.weight"] if model.tied_embeddings else [])
    return result


def tokens(model: Model, length: int, seed: int = 1) -> Tensor:
    """None of them the padding (0), whose embedding transformers does not train."""
    return torch.randint(1, model.vocab_size, (length,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("length", [2, 19])
def test_losses_and_logits_are_those_of_transformers(name: str, length: int) -> None:
    model = GEOMETRIES[name]
    values, ids = parameters(model), tokens(model, length)
    with torch.no_grad():
        theirs = llama(model, values)(ids[None]).logits[0]
        ours = forward.logits(values, model, ids, torch.arange(length), torch.zeros_like(ids))
        losses = forward.losses(values, model, ids)
    assert ours.dtype == losses.dtype == torch.float64
    assert (ours - theirs).abs().max() < 1e-10 * theirs.abs().max()
    right = torch.nn.functional.cross_entropy(theirs[:-1], ids[1:], reduction="none")
    assert (losses - right).abs().max() < 1e-10


@pytest.mark.parametrize("name", ["base", "tied", "four-heads-share-one"])
def test_gradients_are_those_of_transformers(name: str) -> None:
    model = GEOMETRIES[name]
    values, ids = {n: v.requires_grad_() for n, v in parameters(model).items()}, tokens(model, 11)
    ours = torch.autograd.grad(forward.losses(values, model, ids).sum(), list(values.values()))
    theirs = llama(model, {n: v.detach() for n, v in values.items()})
    torch.nn.functional.cross_entropy(theirs(ids[None]).logits[0, :-1], ids[1:], reduction="sum").backward()
    for (key, p), gradient in zip(theirs.named_parameters(), ours, strict=True):
        assert (gradient - p.grad).abs().max() < 1e-10 * max(1.0, float(p.grad.abs().max())), key


@pytest.mark.parametrize("name", ["one-layer", "two-and-two-share"])
def test_packed_segments_are_those_of_transformers_with_a_block_mask(name: str) -> None:
    model = GEOMETRIES[name]
    values = parameters(model)
    rows = [tokens(model, n, seed=n).tolist() for n in (5, 2, 9)]
    ids, positions, first = forward.joined(rows)
    row_of = torch.tensor([i for i, row in enumerate(rows) for _ in row])
    index = torch.arange(len(ids))
    allowed = (row_of[:, None] == row_of[None, :]) & (index[None, :] <= index[:, None])
    mask = torch.zeros(allowed.shape, dtype=torch.float64).masked_fill(~allowed, torch.finfo(torch.float64).min)
    with torch.no_grad():
        theirs = llama(model, values)(ids[None], attention_mask=mask[None, None], position_ids=positions[None]).logits
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
