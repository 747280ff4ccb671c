"""Clipping of a gradient of which one part is known before it and one after."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.oracle.clipping import Parts, clip_coefficient

sizes = st.floats(1e-3, 1e3)


@given(sizes, sizes, st.floats(-0.99, 0.99), st.floats(0.25, 4.0), st.none() | sizes, st.sampled_from((1.0, 2.0)))
def test_the_coefficient_is_the_one_that_was_applied(
    first: float, second: float, cosine: float, factor: float, limit: float | None, times: float
) -> None:
    a = torch.tensor([first, 0.0], dtype=torch.float64)
    b = second * torch.tensor([cosine, (1 - cosine**2) ** 0.5], dtype=torch.float64)
    norm = float((factor * a + b).norm())
    applied = clip_coefficient(norm * times, limit)
    after = applied * b
    assume(limit is None or float(after.norm()) * times < 0.999 * limit)
    parts = Parts(float(a.norm()), float(a @ after), float(after.norm()))
    found = parts.clipped(factor, limit, times)
    # One that is clipped by its last digits or not at all may be either.
    assert found.coefficient == pytest.approx(applied, rel=1e-5)
    assert found.norm == pytest.approx(norm, rel=1e-5)


def test_without_a_second_part_it_is_the_coefficient_itself() -> None:
    assert Parts(3.0).clipped(2.0, 1.0).coefficient == clip_coefficient(6.0, 1.0)
    assert Parts(3.0).clipped(2.0, None).norm == 6.0


def test_a_second_part_beyond_the_limit_tells_nothing_of_the_first() -> None:
    assert Parts(1.0, 0.0, 5.0).clipped(1.0, 2.0).coefficient == 1.0
