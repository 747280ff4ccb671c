"""Per-token gradients against plain autograd and finite differences; solving with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.contract import Model
from harness.oracle import forward
from harness.oracle.basis import Segment, flatten
from harness.oracle.full_basis import FullBasis, build
from scenarios import weights

MODEL = Model(vocab_size=24, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=20, init_std=0.3)
SEGMENTS = (Segment((3, 9, 4, 17, 1)), Segment((3, 9, 5, 6, 20, 1)), Segment((7, 2)))


def parameters(model: Model = MODEL, seed: int = 0) -> dict[str, Tensor]:
    return {n: torch.from_numpy(v) for n, v in weights.initial(model, seed).items()}


@pytest.fixture(scope="module")
def basis() -> FullBasis:
    return build(parameters(), MODEL, SEGMENTS)


def loss_of(vector: Tensor, model: Model, segment: Segment) -> Tensor:
    """Losses of a segment at parameters given as one vector, cut as `flatten` joins them."""
    shapes, at, values = weights.shapes(model), 0, {}
    for name in sorted(shapes):
        count = torch.Size(shapes[name]).numel()
        values[name] = vector[at : at + count].reshape(shapes[name])
        at += count
    assert at == len(vector)
    return forward.losses(values, model, torch.tensor(segment.ids))


@pytest.mark.parametrize("model", [MODEL, replace(MODEL, layers=2, heads=4, kv_heads=2, tied_embeddings=True)])
def test_columns_are_those_of_a_loop_over_tokens(model: Model) -> None:
    values = parameters(model)
    found = build(values, model, SEGMENTS)
    for segment in SEGMENTS:
        for t in range(1, len(segment.ids)):
            leaves = {n: v.double().requires_grad_() for n, v in values.items()}
            loss = forward.losses(leaves, model, torch.tensor(segment.ids))[t - 1]
            each = torch.autograd.grad(loss, list(leaves.values()))
            right = flatten(dict(zip(leaves, each, strict=True)))
            column = found.columns[segment.ids[: t + 1]]
            assert (found.matrix[column] - right).norm() < 1e-12 * right.norm()
            assert abs(float(found.losses[column] - loss.detach())) < 1e-12


def test_columns_are_derivatives(basis: FullBasis) -> None:
    """By central differences in random directions: no automatic differentiation on either side."""
    centre = flatten(parameters())
    for seed in range(3):
        direction = torch.randn(len(centre), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        direction /= direction.norm()
        for segment in SEGMENTS:
            ahead, behind = (loss_of(centre + h * direction, MODEL, segment) for h in (1e-5, -1e-5))
            columns = [basis.columns[segment.ids[: t + 1]] for t in range(1, len(segment.ids))]
            assert ((ahead - behind) / 2e-5 - basis.matrix[columns] @ direction).abs().max() < 1e-8


def test_shared_prefixes_share_a_column(basis: FullBasis) -> None:
    assert (3, 9) in basis.columns
    assert len(basis.columns) == len(basis.losses) == len(basis.matrix) == 4 + 5 + 1 - 1
    assert sorted(basis.columns.values()) == list(range(9))
    twice = build(parameters(), MODEL, (*SEGMENTS, SEGMENTS[0], Segment((3, 9, 4))))
    assert twice.columns == basis.columns
    assert torch.equal(twice.matrix, basis.matrix)


def test_positions_and_reach_of_a_segment_are_used() -> None:
    ids = (3, 9, 4, 17)
    plain = build(parameters(), MODEL, [Segment(ids)])
    same = build(parameters(), MODEL, [Segment(ids, (0, 1, 2, 3), (0, 0, 0, 0))])
    assert torch.equal(plain.matrix, same.matrix)
    for other in (Segment(ids, (0, 0, 0, 0)), Segment(ids, None, (0, 1, 1, 1))):
        assert not torch.allclose(plain.matrix, build(parameters(), MODEL, [other]).matrix)


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-1e3, 1e3), min_size=9, max_size=9))
def test_solving_gives_the_weights_back(basis: FullBasis, values: list[float]) -> None:
    right = torch.tensor(values, dtype=torch.float64)
    found, rest = basis.solve(right @ basis.matrix)
    scale = max(1.0, float(right.abs().max()))
    assert (found - right).abs().max() < 1e-9 * scale
    assert rest.norm() < 1e-9 * scale
    assert basis.norm(right) == pytest.approx(float((right @ basis.matrix).norm()), rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-1e3, 1e3), min_size=9, max_size=9), seed=st.integers(0, 2**32), size=st.floats(0, 50))
def test_what_is_left_is_orthogonal_to_every_column(
    basis: FullBasis, values: list[float], seed: int, size: float
) -> None:
    noise = torch.randn(basis.matrix.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    gradient = torch.tensor(values, dtype=torch.float64) @ basis.matrix + size * noise
    _, rest = basis.solve(gradient)
    cosines = (basis.matrix @ rest) / basis.matrix.norm(dim=1)
    assert cosines.abs().max() <= 1e-10 * max(1.0, float(gradient.norm()))
    # Only what was outside the columns is left: no more than the noise, and most of it (9 of 1,600 directions explain).
    assert 0.9 * size * noise.norm() - 1e-9 <= rest.norm() <= size * noise.norm() + 1e-9 * max(1, gradient.norm())


def test_the_condition_number_is_that_of_the_columns(basis: FullBasis) -> None:
    scaled = basis.matrix / basis.matrix.norm(dim=1, keepdim=True)
    assert basis.condition == pytest.approx(float(torch.linalg.cond(scaled)), rel=1e-6)
    silent = parameters() | {"lm_head.weight": torch.zeros(24, 16)}
    for name in silent:
        if name != "lm_head.weight":
            silent[name] = torch.zeros_like(silent[name])
    # A model of zeros has no gradients at all.
    assert build(silent, MODEL, SEGMENTS).condition == float("inf")
