"""Rounding to a coarse dtype at random: where it goes, that it is right in the mean, and of gradients too."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness.oracle.rounding import Coarse, rounded


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def representable(x: Tensor) -> bool:
    return torch.equal(x, x.bfloat16().float())


@given(st.floats(width=32, allow_nan=False, min_value=-(2.0**100), max_value=2.0**100), st.integers(0, 99))
def test_it_goes_to_one_of_the_two_neighbours(value: float, seed: int) -> None:
    x = torch.tensor([value])
    found = rounded(x, generator(seed))
    assert representable(found)
    # The neighbours: what cutting off gives, towards zero, and one unit further out.
    inner = (x.view(torch.int32) & -(1 << 16)).view(torch.float32)
    outer = (inner.view(torch.int32) + (1 << 16)).view(torch.float32)
    assert found in (inner, outer)
    assert found == x or x != inner  # what can be expressed stays


@given(st.floats(width=32, min_value=2.0**-14, max_value=65504.0), st.sampled_from((1.0, -1.0)), st.integers(0, 99))
def test_of_float16_it_goes_to_a_neighbour_and_the_nearest_is_the_devices(value: float, sign: float, seed: int) -> None:
    """Where float16 has all of its digits: below, it has fewer, and a scaled loss keeps gradients above."""
    x = torch.tensor([sign * value])
    assert torch.equal(rounded(x, None, torch.float16), x.half().float())
    found = rounded(x, generator(seed), torch.float16)
    unit = 2.0 ** (math.floor(math.log2(value)) - 10)
    assert torch.equal(found, found.half().float())
    assert abs(float(found - x)) < unit
    assert found == x or not torch.equal(x, x.half().float())


def test_float16_is_right_in_the_mean() -> None:
    found = rounded(torch.full((40_000,), 1.0 + 0.3 * 2.0**-10), generator(), torch.float16)
    assert float((found > 1.0).float().mean()) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.0078125, 2.0**-126, 3.0e38, float("inf"), -float("inf")])
def test_what_bfloat16_can_express_stays(value: float) -> None:
    x = torch.full((500,), value).bfloat16().float()
    assert torch.equal(rounded(x, generator()), x)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_is_right_in_the_mean(share: float, sign: float) -> None:
    unit = 2.0**-7
    x = torch.full((40_000,), sign * (1.0 + share * unit))
    found = rounded(x, generator())
    outwards = float((found.abs() > 1.0).float().mean())
    assert outwards == pytest.approx(share, abs=0.01)


def test_its_error_squared_is_twice_that_of_rounding_to_the_nearest() -> None:
    """What harness.oracle.floor makes of a draw: 1/6 of a unit squared against 1/12."""
    x = 1.0 + torch.rand(200_000, generator=generator(1))
    drawn, nearest = (y - x for y in (rounded(x, generator()), x.bfloat16().float()))
    assert float(drawn.square().mean() / nearest.square().mean()) == pytest.approx(2.0, rel=0.02)


def test_within_it_every_result_and_every_gradient_is_rounded() -> None:
    seeds, results = (0, 1), []
    for seed in seeds:
        with torch.no_grad():
            start = torch.rand(8, 8, generator=generator(7))
        leaf, draws = start.requires_grad_(), generator(seed)
        begun = rounded(leaf, draws)
        with Coarse(draws):
            products = begun @ begun.T
            shares = products.softmax(-1)
        assert representable(begun)
        assert representable(products)
        assert representable(shares)
        (gradient,) = torch.autograd.grad(shares.square().sum(), leaf)
        assert representable(gradient)
        results.append((shares.detach(), gradient))
    assert not any(map(torch.equal, *results))


def test_the_same_seed_gives_the_same_draw() -> None:
    x = torch.rand(100, generator=generator(3))
    assert torch.equal(rounded(x, generator(5)), rounded(x, generator(5)))
    assert not torch.equal(rounded(x, generator(5)), rounded(x, generator(6)))


def test_whole_numbers_and_float64_are_left_alone() -> None:
    with Coarse(generator()):
        assert (torch.tensor([65537]) + 1).tolist() == [65538]
        assert (torch.tensor([1.0], dtype=torch.float64) + 2.0**-30).tolist() == [1.0 + 2.0**-30]
