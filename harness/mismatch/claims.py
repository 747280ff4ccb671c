"""What is said of trainers and engines, as rules on what was measured. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from harness.mismatch.record import ClaimRecord, PairRecord

DIFFERENCE = "sampling/sampling_logp_difference/mean"
FP16 = "arXiv 2510.26788"
VEXACT = "arXiv 2605.14220 (VeXact)"
SMALL = 100.0
"""How many times less is taken for little."""
GROWN = 1.25
"""How many times as large is taken for larger."""

ByDtype = Mapping[tuple[str, str], Mapping[str, PairRecord]]
"""By trainer and engine, in the same dtype."""


def claims(pairs: Iterable[PairRecord]) -> list[ClaimRecord]:
    """In the order in which they are told."""
    known: dict[tuple[str, str], dict[str, PairRecord]] = {}
    for pair in pairs:
        if pair.trainer_dtype == pair.engine_dtype:
            known.setdefault((pair.trainer, pair.engine), {})[pair.trainer_dtype] = pair
    return [
        _less(
            known,
            "fp16 makes the mismatch smaller than bf16 does",
            FP16,
            ("float16", "bfloat16"),
            1.0,
            "the mean difference of log-probabilities is smaller in float16 in every pair",
        ),
        _less(
            known,
            "the cause is the precision of the dtype, not what else engines do otherwise",
            FP16,
            ("float32", "bfloat16"),
            SMALL,
            f"in float32 the same pair differs by less than 1/{SMALL:g} of what it does in bfloat16, in every pair",
        ),
        _different(known),
        _grows(known),
    ]


def _less(known: ByDtype, claim: str, source: str, dtypes: tuple[str, str], times: float, rule: str) -> ClaimRecord:
    """Whether pairs differ in the first dtype by less than a part of what they do in the second."""
    small, large = dtypes
    both = [of for of in known.values() if small in of and large in of]
    ratios = _numbers(_ratio(of[large].metrics[DIFFERENCE], of[small].metrics[DIFFERENCE]) for of in both)
    told = ClaimRecord(claim=claim, source=source, rule=rule)
    if not ratios:
        return told.model_copy(update={"measured": f"no pair was measured in both {small} and {large}"})
    measured = f"{_range(ratios)} times less in {small} than in {large}, of {len(ratios)} pairs"
    return told.model_copy(update={"supported": min(ratios) > times, "measured": measured})


def _different(known: ByDtype) -> ClaimRecord:
    """Pairs of one framework's two ways count as well: they run other kernels."""
    found = _coarse(known, lambda pair: pair.metrics["sampling/sampling_logp_difference/max"])
    told = ClaimRecord(
        claim="trainer and engine give the same tokens other probabilities under the same weights",
        source=VEXACT,
        rule="at least one token of every pair in bfloat16 or float16",
    )
    if not found:
        return told.model_copy(update={"measured": "no pair was measured in them"})
    equal = sum(value == 0 for value in found)
    measured = f"{equal} of {len(found)} pairs are equal to the bit; the largest difference is {max(found):.3g} nats"
    return told.model_copy(update={"supported": equal == 0, "measured": measured})


def _grows(known: ByDtype) -> ClaimRecord:
    found = _coarse(known, lambda pair: _ratio(pair.growth[-1], pair.growth[0]))
    told = ClaimRecord(
        claim="the difference of a token grows with its position",
        source="often said",
        rule=f"over the last places it is more than {GROWN:g} times that over the first, in every pair of 16 bits",
    )
    if not found:
        return told.model_copy(update={"measured": "no pair was measured in them"})
    measured = f"{_range(found)} times as large over the last eighth of the places, of {len(found)} pairs"
    return told.model_copy(update={"supported": min(found) > GROWN, "measured": measured})


def _coarse(known: ByDtype, of: Callable[[PairRecord], float]) -> list[float]:
    """Of every pair in 16 bits."""
    return _numbers(of(pair) for by in known.values() for dtype, pair in by.items() if dtype != "float32")


def _numbers(values: Iterable[float]) -> list[float]:
    """Without what is none, of a pair that is equal."""
    return [value for value in values if not math.isnan(value)]


def _ratio(large: float, small: float) -> float:
    if small == 0:
        return math.nan if large == 0 else math.inf
    return large / small


def _range(values: Iterable[float]) -> str:
    known = sorted(values)
    return f"{known[0]:.3g} to {known[-1]:.3g}"
