"""Faults by their names, also several at once."""

from __future__ import annotations

import pytest

from adapters.faults import CATALOGUE, RIGHT, plan


def test_several_faults_are_all_planted() -> None:
    both = plan("drop-intermediate+mean-of-micro-batches")
    assert (both.keep, both.level) == ("first-and-last", "micro-batch")
    assert plan("mean-of-micro-batches+drop-intermediate") == both


@pytest.mark.parametrize("name", CATALOGUE)
def test_one_fault_is_its_own_plan(name: str) -> None:
    assert plan(name) == CATALOGUE[name].plan


def test_no_fault_is_right_and_an_unknown_one_is_none() -> None:
    assert plan(None) == RIGHT
    with pytest.raises(KeyError):
        plan("drop-intermediate+no-such-fault")
