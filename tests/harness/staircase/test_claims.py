"""The claims, on numbers made by hand: the paper's order supports all, and each may fail by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from harness.staircase.attribution import Mended
from harness.staircase.claims import BySeed, Kind, Measured, claims, share

NONE, P, A, BOTH = frozenset[str](), frozenset({"o"}), frozenset({"a"}), frozenset({"o", "a"})
PAPERS = Measured(
    accuracy={NONE: [0.48, 0.49, 0.47], A: [0.49, 0.50, 0.48], P: [0.534, 0.545, 0.522], BOTH: [0.54, 0.55, 0.53]},
    nll={NONE: [0.50, 0.51, 0.49], A: [0.49, 0.50, 0.48], P: [0.11, 0.12, 0.10], BOTH: [0.10, 0.11, 0.09]},
    grad_norm={NONE: [0.3, 0.31, 0.3], A: [0.31, 0.3, 0.3], P: [1.0, 1.02, 1.01], BOTH: [1.0, 1.01, 1.0]},
    variability={NONE: [0.3, 0.31, 0.3], A: [0.1, 0.11, 0.1], P: [0.3, 0.31, 0.3], BOTH: [0.1, 0.11, 0.1]},
    independent={"verl": ([0.538, 0.552, 0.53], [0.1, 0.11, 0.092])},
    kinds={"o": "optimizer", "a": "aggregation"},
)


def supported(measured: Measured) -> list[bool | None]:
    return [claim.supported for claim in claims(measured)]


def test_the_papers_order_supports_all() -> None:
    assert supported(PAPERS) == [True] * 5


WRONG = {
    "the aggregation is most of it": (replace(PAPERS, kinds={"a": "optimizer", "o": "aggregation"}), 0),
    "the aggregation alone brings much": (
        replace(PAPERS, accuracy={**PAPERS.accuracy, A: [0.52, 0.53, 0.51], P: [0.52, 0.53, 0.51]}), 1,
    ),
    "the aggregation moves the norm": (replace(PAPERS, grad_norm={**PAPERS.grad_norm, P: [0.7, 0.71, 0.7]}), 2),
    "the optimizer does not": (replace(PAPERS, grad_norm={mended: [1.0, 1.01, 1.0] for mended in PAPERS.grad_norm}), 2),
    "the loss varies alike": (
        replace(PAPERS, variability={mended: [0.3, 0.31, 0.29] for mended in PAPERS.variability}), 3,
    ),
    "the other framework is better": (
        replace(PAPERS, independent={"verl": ([0.7, 0.71, 0.7], [0.1, 0.11, 0.09])}), 4,
    ),
    "the other framework has another NLL": (
        replace(PAPERS, independent={"verl": (PAPERS.accuracy[BOTH], [0.2, 0.21, 0.19])}), 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("measured", "failing"), WRONG.values(), ids=WRONG.keys())
def test_each_may_fail(measured: Measured, failing: int) -> None:
    assert not supported(measured)[failing]


def test_without_a_gap_nothing_has_a_share_of_it() -> None:
    flat = replace(PAPERS, accuracy={mended: [0.5, 0.5, 0.5] for mended in PAPERS.accuracy})
    assert supported(flat)[:2] == [False, False]
    assert "accuracy: no gap" in claims(flat)[0].measured
    assert share(flat.accuracy, "o") is None


def test_without_a_fix_for_a_bug_nothing_is_claimed_of_it() -> None:
    assert supported(replace(PAPERS, kinds={}))[:4] == [None] * 4


@pytest.mark.parametrize("kinds", [{"o": "optimizer"}, {"o": "optimizer", "a": "optimizer"}])
def test_of_one_bug_alone_no_share_is_claimed(kinds: dict[str, Kind]) -> None:
    """Its fix would be all of the gap, whatever the gap is."""
    assert supported(replace(PAPERS, kinds=kinds))[:4] == [None] * 4


def test_a_framework_that_was_not_trained_equals_nothing() -> None:
    (*_, claim) = claims(replace(PAPERS, independent={"verl": None}))
    assert claim.supported is None
    assert "was not trained with every seed" in claim.measured


def test_a_single_seed_tells_no_noise() -> None:
    def first(values: Mapping[Mended, BySeed]) -> dict[Mended, BySeed]:
        return {mended: numbers[:1] for mended, numbers in values.items()}

    one = replace(
        PAPERS,
        accuracy=first(PAPERS.accuracy),
        nll=first(PAPERS.nll),
        grad_norm=first(PAPERS.grad_norm),
        variability=first(PAPERS.variability),
        independent={"verl": ([0.54], [0.1])},
    )
    assert supported(one) == [None] * 5
    assert "one seed tells no noise" in claims(one)[-1].measured
