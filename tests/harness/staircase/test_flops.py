"""FLOPs: 6 for a parameter and a token that is trained, 2 for one that is generated."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.staircase.flops import flops

COUNTS = st.integers(0, 10**12)


def test_by_hand() -> None:
    assert flops(7_000_000_000, 1_000_000) == 42 * 10**15
    assert flops(7_000_000_000, 1_000_000, 3_000_000) == 84 * 10**15


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_trainings_add_up(parameters: int, trained: int, generated: int, more: int) -> None:
    whole = flops(parameters, trained + more, generated)
    assert whole == flops(parameters, trained, generated) + flops(parameters, more)
