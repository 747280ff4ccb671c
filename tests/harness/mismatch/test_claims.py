"""What is said of trainers and engines: supported, not supported, and what cannot be told."""

from __future__ import annotations

import pytest

from harness.mismatch.claims import DIFFERENCE, claims
from harness.mismatch.record import PairRecord

LARGEST = "sampling/sampling_logp_difference/max"


def pair(dtype: str, difference: float, grown: float = 2.0, engine: str = "vllm-decode") -> PairRecord:
    return PairRecord(
        trainer="trl",
        trainer_dtype=dtype,
        engine=engine,
        engine_dtype=dtype,
        metrics={DIFFERENCE: difference, LARGEST: 3 * difference},
        growth=[difference, difference * grown],
        nearer="alike",
    )


USUAL = [pair("float32", 1e-6), pair("bfloat16", 1e-2), pair("float16", 1e-3)]


def told(pairs: list[PairRecord]) -> list[bool | None]:
    return [claim.supported for claim in claims(pairs)]


def test_what_is_usual_supports_all_of_them() -> None:
    assert told(USUAL) == [True] * 4
    assert claims(USUAL)[0].measured == "10 to 10 times less in float16 than in bfloat16, of 1 pairs"


@pytest.mark.parametrize(
    ("changed", "which"),
    [
        (pair("float16", 2e-2), 0),
        (pair("float32", 1e-3), 1),
        (pair("bfloat16", 1e-2, grown=1.0), 3),
    ],
)
def test_one_pair_is_enough_to_take_its_support_away(changed: PairRecord, which: int) -> None:
    others = [one for one in USUAL if one.trainer_dtype != changed.trainer_dtype]
    assert told([*others, changed])[which] is False


def test_a_pair_that_is_equal_to_the_bit_is_no_mismatch() -> None:
    equal = [pair(dtype, 0.0, engine="transformers-decode") for dtype in ("float32", "bfloat16", "float16")]
    assert told([*USUAL, *equal]) == [True, True, False, True]
    assert told(equal) == [None, None, False, None]


def test_of_what_was_not_measured_nothing_is_told() -> None:
    assert told([]) == [None] * 4
    assert told([pair("float16", 1e-3)])[:2] == [None, None]
