"""The load-balancing loss against transformers' own, in float64, by hand, and by finite differences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.oracle.architectures.routing import load_balancing


def draw(tokens: int, experts: int, layers: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(tokens, experts, generator=generator, dtype=torch.float64) for _ in range(layers)]


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9), st.integers(2, 6), st.integers(1, 3), st.integers(0, 9), st.data())
def test_it_is_that_of_transformers_with_padding_and_without(
    tokens: int, experts: int, layers: int, padding: int, data: st.DataObject
) -> None:
    modeling = pytest.importorskip("transformers.models.mixtral.modeling_mixtral")
    count = data.draw(st.integers(1, experts))
    routers = draw(tokens, experts, layers, seed=tokens)
    padded = [torch.cat((router, torch.full((padding, experts), 3.0).double())) for router in routers]
    mask = torch.tensor([[1] * tokens + [0] * padding])
    theirs = modeling.load_balancing_loss_func(tuple(padded), experts, count, mask)
    # It counts in float32 (`expert_mask.float()`).
    assert float(load_balancing(routers, count)) == pytest.approx(float(theirs), rel=1e-6)
    if not padding:
        alone = modeling.load_balancing_loss_func(tuple(padded), experts, count)
        assert float(load_balancing(routers, count)) == pytest.approx(float(alone), rel=1e-6)


def test_it_is_the_number_of_experts_of_a_token_where_all_are_alike() -> None:
    """Two tokens, each with an expert of its own: equation 4 of Fedus et al. by hand, 2 x (1/2 x 1/2 + 1/2 x 1/2)."""
    even = [torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()]
    assert float(load_balancing(even, 1)) == pytest.approx(1.0, abs=1e-15)
    crowded = [torch.tensor([[50.0, -50.0]] * 3).double()]
    assert float(load_balancing(crowded, 1)) == pytest.approx(2.0)


@pytest.mark.parametrize("count", [1, 2])
def test_its_gradient_is_that_of_finite_differences(count: int) -> None:
    routers = [router.requires_grad_() for router in draw(5, 4, 2, seed=3)]
    gradients = torch.autograd.grad(load_balancing(routers, count), routers)
    way = draw(5, 4, 2, seed=4)
    step = 1e-5
    with torch.no_grad():
        after, before = (
            load_balancing([r + sign * step * w for r, w in zip(routers, way, strict=True)], count)
            for sign in (1.0, -1.0)
        )
    along = sum(float((g * w).sum()) for g, w in zip(gradients, way, strict=True))
    assert float(after - before) / (2 * step) == pytest.approx(along, rel=1e-7)
