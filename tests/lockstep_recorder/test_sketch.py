"""The map of gradients to small matrices: linear, the same everywhere, and made up of its pieces."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lockstep_recorder import sketch

CPU = torch.device("cpu")


def matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def of(value: Tensor, by: sketch.Sketch) -> Tensor:
    return by.of_flat(value, 0, value.shape[1])


@given(st.integers(1, 1500), st.integers(1, 700), st.floats(-3, 3), st.integers(0, 9))
def test_it_is_linear(rows: int, columns: int, factor: float, seed: int) -> None:
    by = sketch.of_matrix(rows, columns, CPU)
    one, other = matrix(rows, columns, seed), matrix(rows, columns, seed + 1)
    torch.testing.assert_close(of(one + factor * other, by), of(one, by) + factor * of(other, by), atol=1e-4, rtol=1e-4)


@given(st.integers(2, 900), st.integers(2, 600), st.data())
def test_pieces_of_the_flattened_matrix_add_up(rows: int, columns: int, data: st.DataObject) -> None:
    by, whole = sketch.of_matrix(rows, columns, CPU), matrix(rows, columns, 3)
    cuts = sorted(data.draw(st.lists(st.integers(0, rows * columns), max_size=3)))
    flat, edges = whole.reshape(-1), [0, *cuts, rows * columns]
    parts = [by.of_flat(flat[a:b], a, columns) for a, b in itertools.pairwise(edges)]
    torch.testing.assert_close(torch.stack(parts).sum(0), of(whole, by), atol=1e-4, rtol=1e-4)


def test_an_outer_product_is_that_of_its_factors() -> None:
    by = sketch.of_matrix(2000, 900, CPU)
    delta, hidden = matrix(7, 2000, 1), matrix(7, 900, 2)
    both = by.rows.apply(delta, 1).T @ by.columns.apply(hidden, 1)
    torch.testing.assert_close(of(delta.T @ hidden, by), both, atol=1e-3, rtol=1e-3)


def test_a_small_axis_is_taken_as_it_is() -> None:
    value = matrix(30, 20, 1)
    assert torch.equal(of(value, sketch.of_matrix(30, 20, CPU)), value)


def test_rows_that_are_left_out_leave_nothing() -> None:
    by = sketch.of_matrix(2000, 10, CPU)
    without = sketch.Sketch(by.rows.without(torch.arange(1000)), by.columns)
    value = torch.zeros(2000, 10)
    value[:1000] = 1.0
    assert not of(value, without).any()


def test_lengths_are_kept_on_average() -> None:
    by = sketch.of_matrix(30_000, 2_000, CPU)
    value = matrix(30_000, 8, 4) @ matrix(8, 2_000, 5)
    assert float(of(value, by).norm() / value.norm()) == pytest.approx(1.0, abs=0.1)


def test_it_draws_no_random_numbers_of_the_training() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    sketch.of_matrix(5000, 900, CPU)
    assert torch.equal(torch.get_rng_state(), before)
