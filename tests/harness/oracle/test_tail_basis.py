"""The tail basis against the full one: the same columns, and the same answers of a gradient that tokens explain."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.contract import Model
from harness.oracle import full_basis, tail_basis
from harness.oracle.basis import Segment
from harness.oracle.full_basis import FullBasis
from harness.oracle.tail_basis import TailBasis
from scenarios import weights

UNTIED = Model(vocab_size=24, hidden_size=16, layers=2, heads=2, kv_heads=1, intermediate_size=20, init_std=0.3)
GPT2 = replace(UNTIED, architecture="gpt2", kv_heads=2, max_positions=8, tied_embeddings=True)
MODELS = {
    "untied": UNTIED,
    "tied": replace(UNTIED, tied_embeddings=True),
    "one layer": replace(UNTIED, layers=1),
    "routed": replace(UNTIED, architecture="mixtral", experts=4, experts_per_token=2, intermediate_size=12),
    "qwen2": replace(UNTIED, architecture="qwen2", tied_embeddings=True),
    "qwen3": replace(UNTIED, architecture="qwen3"),
    "gpt2": GPT2,
    "gemma2": replace(UNTIED, architecture="gemma2", tied_embeddings=True, attention_softcap=0.7, final_softcap=1.1),
}
SEGMENTS = (Segment((3, 9, 4, 17, 1)), Segment((3, 9, 5, 6, 20, 1)), Segment((7, 2)))
COLUMNS = 9

values = st.lists(st.floats(-1e3, 1e3), min_size=COLUMNS, max_size=COLUMNS)


@pytest.fixture(scope="module", params=list(MODELS))
def both(request: pytest.FixtureRequest) -> tuple[TailBasis, FullBasis]:
    model = MODELS[request.param]
    parameters = {n: torch.from_numpy(v) for n, v in weights.initial(model, 0).items()}
    return tail_basis.build(parameters, model, SEGMENTS), full_basis.build(parameters, model, SEGMENTS)


def test_columns_and_losses_are_the_same(both: tuple[TailBasis, FullBasis]) -> None:
    tail, full = both
    assert tail.columns == full.columns
    assert torch.allclose(tail.losses, full.losses, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(found=values)
def test_gradients_norms_and_products_are_the_same(both: tuple[TailBasis, FullBasis], found: list[float]) -> None:
    tail, full = both
    chosen = torch.tensor(found, dtype=torch.float64)
    right = full.gradient(chosen)
    size = float(right.norm())
    assert (tail.gradient(chosen) - right).norm() <= 1e-11 * size + 1e-12
    assert tail.norm(chosen) == pytest.approx(full.norm(chosen), rel=1e-8, abs=1e-12)
    assert torch.allclose(tail.products(chosen), full.products(chosen), rtol=1e-9, atol=1e-10 * (1 + size))


@settings(deadline=None, max_examples=25)
@given(found=values)
def test_both_give_the_weights_back(both: tuple[TailBasis, FullBasis], found: list[float]) -> None:
    right = torch.tensor(found, dtype=torch.float64)
    scale = max(1.0, float(right.abs().max()))
    for basis in both:
        solved, rest = basis.solve(both[1].gradient(right))
        assert (solved - right).abs().max() < 1e-8 * scale
        assert rest.norm() < 1e-8 * scale


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_what_only_another_tensor_shows_is_left(
    both: tuple[TailBasis, FullBasis], seed: int, data: st.DataObject
) -> None:
    """Something foreign in a tensor that the tail does not look at is in the residual all the same, in full."""
    tail, full = both
    name = data.draw(st.sampled_from([n for n in tail.parameters if n not in tail.solved]), label="tensor")
    noise = foreign(tail, seed, name)
    weights_of_right = torch.ones(COLUMNS, dtype=torch.float64)
    solved, rest = tail.solve(full.gradient(weights_of_right) + noise)
    assert (solved - weights_of_right).abs().max() < 1e-8
    assert float((rest - noise).norm()) < 1e-8 * float(noise.norm())


def foreign(basis: TailBasis, seed: int, name: str) -> Tensor:
    """A gradient that is nothing but noise in the tensor of that name."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for tensor, value in basis.parameters.items():
        noise = torch.randn(value.numel(), dtype=torch.float64, generator=generator)
        parts.append(noise if tensor == name else torch.zeros_like(noise))
    return torch.cat(parts)


def test_a_model_without_gradients_cannot_be_solved() -> None:
    silent = {n: torch.zeros(v.shape) for n, v in weights.initial(UNTIED, 0).items()}
    assert tail_basis.build(silent, UNTIED, SEGMENTS).condition == float("inf")
