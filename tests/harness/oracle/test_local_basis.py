"""Weights out of outer products: exact for every choice of equations, and uncertain where they should be."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.oracle import local_basis
from harness.oracle.local_basis import Layer, LocalBasis

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


# ---- uncertainty


@dataclass(frozen=True)
class Step:
    """One random step of a small head, computed in a coarse dtype as a framework would."""

    basis: LocalBasis
    gradient: Tensor
    right: Tensor
    """float64 [columns]."""


def random_step(seed: int, dtype: torch.dtype) -> Step:
    """Micro-batches of 8 tokens: confident ones, rare ones, repeated ones, and padding that weighs nothing."""
    generator = torch.Generator().manual_seed(seed)
    tokens, vocabulary, hidden, repeated = 60, 64, 32, 6
    matrix = torch.randn(vocabulary, hidden, generator=generator).to(dtype)
    states = torch.randn(tokens, hidden, generator=generator) * 0.3
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    sure = torch.rand(tokens, generator=generator) < 0.3
    pull = torch.rand(tokens, generator=generator)[:, None] * 0.4
    states = torch.where(sure[:, None], states + pull * matrix[targets].float(), states)
    states[-repeated:], targets[-repeated:] = states[:repeated], targets[:repeated]
    column = torch.arange(tokens)
    column[-repeated:] = column[:repeated]
    weights = torch.full((tokens,), 1.0 / tokens)
    weights[10:20] = 0.0
    states = states.to(dtype)
    gradient = torch.zeros(vocabulary, hidden)
    for part in torch.split(torch.arange(tokens), 8):
        leaf = matrix.clone().requires_grad_()
        losses = torch.nn.functional.cross_entropy((states[part] @ leaf.T).float(), targets[part], reduction="none")
        gradient += torch.autograd.grad(losses @ weights[part], leaf)[0].float()
    layer = local_basis.head(states, matrix, targets, dtype=dtype)
    # Tokens that share a column share its weight.
    right = torch.bincount(column, weights.double()) / torch.bincount(column)
    return Step(local_basis.build([layer], column), gradient.double(), right)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_true_weight_lies_within_the_uncertainty(dtype: torch.dtype) -> None:
    within, every = 0, 0
    for seed in range(200):
        step = random_step(seed, dtype)
        found = step.basis.solve([step.gradient]).weights
        within += int(((found - step.right).abs() <= step.basis.uncertainty(found, dtype)).sum())
        every += len(step.right)
    assert within >= 0.99 * every


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_uncertainty_is_no_excuse(dtype: torch.dtype) -> None:
    """Most tokens are known well: within a few units of the dtype."""
    step = random_step(0, dtype)
    found = step.basis.solve([step.gradient]).weights
    assert float(step.basis.uncertainty(found, dtype).median()) < 10 * torch.finfo(dtype).eps / 60


def test_what_cannot_be_told_is_uncertain() -> None:
    """A token that the model is sure of has next to no gradient: in bfloat16 its weight is anybody's guess."""
    step = random_step(3, torch.bfloat16)
    found = step.basis.solve([step.gradient]).weights
    uncertain = step.basis.uncertainty(found, torch.bfloat16)
    assert uncertain[step.basis.lengths.argmin()] > 10 * uncertain[step.basis.lengths.argmax()]


def test_a_layer_without_a_dtype_knows_no_uncertainty() -> None:
    layer, gradient = head(0, 5)
    basis = local_basis.build([layer])
    with pytest.raises(ValueError, match="without a dtype"):
        basis.uncertainty(basis.solve([gradient]).weights, torch.float32)


@pytest.mark.parametrize("softcap", [None, 0.7, 30.0])
def test_deltas_are_the_gradients_of_the_losses_behind_a_soft_cap(softcap: float | None) -> None:
    generator = torch.Generator().manual_seed(4)
    hidden, weight = (torch.randn(n, 6, dtype=torch.float64, generator=generator) for n in (5, 9))
    targets = torch.tensor([0, 3, 8, 3, 1])
    scores = (hidden @ weight.T).requires_grad_()
    losses = torch.nn.functional.cross_entropy(local_basis.bent(scores, softcap), targets, reduction="sum")
    (expected,) = torch.autograd.grad(losses, scores)
    torch.testing.assert_close(local_basis.head(hidden, weight, targets, softcap=softcap).deltas, expected)
