"""Claims, on numbers made by hand: each is supported by what it says, and may fail by itself."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.seeds import ClaimRecord
from tests.harness.policy import trainings

LOST = {("noise 2", "none"): 0.5, ("bias 2", "none"): 0.6}
MENDED = {("noise 2", "token TIS"): 0.8, ("bias 2", "token TIS"): 0.75}


def claims(finals: Mapping[tuple[str, str], float], seeds: int = 3, growth: float = 1.0) -> Mapping[str, ClaimRecord]:
    """By what they begin with."""
    found = trainings.experiment(finals, seeds, growth).claims
    return {one.claim.split(" (")[0]: one for one in found}


def test_where_nothing_is_lost_nothing_can_be_recovered() -> None:
    found = claims({})
    assert found["noise alone lowers the final reward"].supported is False
    for name in ("token TIS recovers what a mismatch costs", "a mismatch alone makes training collapse"):
        assert found[name].supported is None
        assert found[name].measured == "no mismatch lowers the final reward"


def test_each_kind_is_judged_by_itself() -> None:
    found = claims(LOST)
    assert found["noise alone lowers the final reward"].supported
    assert found["bias alone lowers the final reward"].supported
    assert found["sharpening alone lowers the final reward"].supported is False
    assert "noise 2: -0.3" in found["noise alone lowers the final reward"].measured


def test_a_correction_must_bring_back_more_than_half_everywhere() -> None:
    everything = {(label, name): 0.8 for label, _ in LOST for name in ("sequence TIS", "token mask", "sequence mask")}
    assert claims({**LOST, **everything, **MENDED})["token TIS recovers what a mismatch costs"].supported
    half = {**LOST, **everything, **MENDED, ("bias 2", "token TIS"): 0.69}
    found = claims(half)
    assert found["token TIS recovers what a mismatch costs"].supported is False
    assert found["token mask recovers what a mismatch costs"].supported


def test_one_correction_is_better_only_where_it_is_so_everywhere() -> None:
    better = {("noise 2", "token mask"): 0.7, ("noise 2", "token TIS"): 0.6, ("bias 2", "token mask"): 0.7}
    assert claims({**LOST, **better, ("bias 2", "token TIS"): 0.6})["token mask is better than token TIS"].supported
    assert claims({**LOST, **better})["token mask is better than token TIS"].supported is False


@pytest.mark.parametrize(("final", "supported"), [(0.2, True), (0.4, False)])
def test_a_collapse_ends_below_the_begin(final: float, supported: bool) -> None:
    found = claims({("noise 2", "none"): final})
    assert found["a mismatch alone makes training collapse"].supported is supported


def test_rounding() -> None:
    found = claims({})
    assert found["the mismatch of fp16 is far smaller than that of bf16"].supported
    assert found["fp16 costs no reward where bf16 does"].supported is False
    assert claims({("rounding bf16", "none"): 0.5})["fp16 costs no reward where bf16 does"].supported


@pytest.mark.parametrize(("growth", "supported"), [(2.0, True), (0.5, False)])
def test_growth(growth: float, supported: bool) -> None:
    assert claims({}, growth=growth)["the mismatch grows while it is trained"].supported is supported


def test_one_seed_tells_nothing() -> None:
    for one in claims(LOST, seeds=1).values():
        assert one.supported is None
        assert one.measured.endswith("one seed tells no noise")
