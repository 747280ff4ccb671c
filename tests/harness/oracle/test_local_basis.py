"""Weights out of outer products: exact for every choice of equations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.oracle import local_basis
from harness.oracle.local_basis import Layer

VOCABULARY, HIDDEN = 40, 16
seeds = st.integers(0, 2**32)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def head(seed: int, tokens: int, rows: Tensor | None = None) -> tuple[Layer, Tensor]:
    """The head of a random model on random tokens, and its gradient for weights 0, 1, 2, ... by autograd."""
    hidden, matrix = drawn(seed, tokens, HIDDEN), drawn(seed + 1, VOCABULARY, HIDDEN).requires_grad_()
    targets = torch.randint(VOCABULARY, (tokens,), generator=torch.Generator().manual_seed(seed))
    losses = torch.nn.functional.cross_entropy(hidden @ matrix.T, targets, reduction="none")
    (gradient,) = torch.autograd.grad(losses @ torch.arange(tokens).double(), matrix)
    return local_basis.head(hidden, matrix.detach(), targets, rows), gradient


@settings(deadline=None, max_examples=25)
@given(seed=seeds, tokens=st.integers(1, 24))
def test_the_head_gives_the_weights_back(seed: int, tokens: int) -> None:
    layer, gradient = head(seed, tokens)
    solved = local_basis.build([layer]).solve([gradient])
    assert torch.allclose(solved.weights, torch.arange(tokens).double(), rtol=0, atol=1e-7)
    assert solved.residual < 1e-9


@settings(deadline=None, max_examples=25)
@given(seed=seeds, tokens=st.integers(1, 12), data=st.data())
def test_any_rows_that_tell_enough_do(seed: int, tokens: int, data: st.DataObject) -> None:
    rows = torch.tensor(sorted(data.draw(st.sets(st.integers(0, VOCABULARY - 1), min_size=8))))
    layer, gradient = head(seed, tokens, rows)
    basis = local_basis.build([layer])
    solved = basis.solve([gradient[rows]])
    # Rounding, times the condition number: a token whose rows are nearly silent is known badly, and it says so.
    allowed = 1e-12 * basis.condition**2 * tokens
    assert (solved.weights - torch.arange(tokens)).abs().max() <= allowed


@settings(deadline=None, max_examples=25)
@given(seed=seeds, cut=st.integers(1, VOCABULARY - 1))
def test_shards_add_up(seed: int, cut: int) -> None:
    """Rows here, the others there: as two layers they are the whole."""
    layer, gradient = head(seed, 10)
    parts = [Layer(layer.deltas[:, :cut], layer.inputs), Layer(layer.deltas[:, cut:], layer.inputs)]
    whole = local_basis.build([layer]).solve([gradient])
    shards = local_basis.build(parts).solve([gradient[:cut], gradient[cut:]])
    assert torch.allclose(whole.weights, shards.weights, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(seed=seeds)
def test_a_sequence_is_one_unknown(seed: int) -> None:
    """Three sequences of which each has one weight; and a residual where the tokens of one have not."""
    column = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
    layer, _ = head(seed, len(column))
    right = torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)
    basis = local_basis.build([layer], column)
    even = basis.solve([layer.explained(right[column])])
    assert torch.allclose(even.weights, right, rtol=0, atol=1e-9)
    assert even.residual < 1e-9
    uneven = right[column].clone()
    uneven[0] = 0.0
    assert basis.solve([layer.explained(uneven)]).residual > 1e-3


def test_products_in_pieces_are_those_of_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, gradient = head(0, 20)
    whole = local_basis.build([layer])
    monkeypatch.setattr(local_basis, "TOKENS_AT_ONCE", 7)
    pieces = local_basis.build([head(0, 20)[0]])
    assert torch.allclose(whole.inverse, pieces.inverse)
    assert torch.allclose(whole.solve([gradient]).weights, pieces.solve([gradient]).weights)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, vocabulary=st.integers(1, 60), most=st.integers(1, 60))
def test_rows_that_tell_are_distinct_and_hold_the_targets(seed: int, vocabulary: int, most: int) -> None:
    targets = torch.randint(vocabulary, (10,), generator=torch.Generator().manual_seed(seed))
    rows = local_basis.telling_rows(targets, vocabulary, most)
    assert len(rows) == len(rows.unique()) == min(vocabulary, most)
    if most >= len(targets.unique()):
        assert set(targets.tolist()) <= set(rows.tolist())
