"""An arm is what its label says, or it is not."""

from __future__ import annotations

import pytest

from harness.staircase.labels import mends, of_combination, of_control, of_right

NONE, P, A, BOTH = frozenset[str](), frozenset({"o"}), frozenset({"a"}), frozenset({"o", "a"})
DROPPED, MEANS = frozenset({"dropped"}), frozenset({"means"})
RIGHT = {NONE: DROPPED | MEANS, P: MEANS, A: DROPPED, BOTH: frozenset[str]()}


def test_each_fix_mends_what_is_gone_with_it() -> None:
    assert mends(RIGHT) == {"o": DROPPED, "a": MEANS}


@pytest.mark.parametrize("mended", RIGHT)
def test_every_arm_is_as_labelled(mended: frozenset[str]) -> None:
    assert of_combination(mended, RIGHT).right


WRONG = {
    "a fix brings another fault": ({**RIGHT, P: MEANS | {"scale"}}, P),
    "both together leave something": ({**RIGHT, BOTH: MEANS}, BOTH),
    "a fix mends nothing": ({**RIGHT, A: DROPPED | MEANS}, A),
    "what mends nothing alone is in no combination": ({**RIGHT, A: DROPPED | MEANS}, BOTH),
}


@pytest.mark.parametrize(("causes", "mended"), WRONG.values(), ids=WRONG.keys())
def test_an_arm_that_is_not(causes: dict[frozenset[str], frozenset[str]], mended: frozenset[str]) -> None:
    assert of_combination(mended, causes).right is False


def test_the_control_has_nothing_wrong_of_its_own() -> None:
    assert of_control(MEANS, DROPPED | MEANS).right
    assert of_control(NONE, DROPPED).right
    assert of_control(frozenset({"scale"}), DROPPED | MEANS).right is False
    assert of_control(MEANS, None).right is None
    lost = frozenset({"dropped-micro-batches"})
    assert of_control(MEANS, lost | MEANS).right
    assert of_control(lost, lost | MEANS).right is False, "it was offloaded all the same"


def test_in_an_independent_framework_nothing_may_be_wrong() -> None:
    assert of_right(NONE).right
    assert of_right(DROPPED).right is False
