"""What is claimed of a mismatch between trainer and sampler, as rules, and whether the trainings support it.

Pure functions. Differences are taken seed by seed: trainings of a seed share weights, prompts and draws.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.policy.corrections import CORRECTIONS, NONE
from harness.policy.mismatches import EXACT, Mismatch
from harness.policy.record import RunRecord
from harness.seeds import ClaimRecord, Interval, interval, told

TENTH = 10
WITH_INTERVAL = "with the 95 % interval"
WIDEST = "the largest size of a kind"
FP16_PAPER, VEXACT = "arXiv 2510.26788", "arXiv 2605.14220"
SOURCES = {
    "token TIS": "fengyao.notion.site/off-policy-rl",
    "sequence TIS": "verl pull request 3694",
    "token mask": "IcePop, by TRL issue 4493",
    "sequence mask": "TRL issue 4493",
}
"""Where it is said of a correction that it recovers what a mismatch costs."""


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    mismatch: Mismatch
    correction: str


EXACT_ARM = Arm(EXACT, NONE)
Trained = Mapping[Arm, Sequence[RunRecord]]
"""A training for each seed, the seeds in the same order; kinds in theirs, and sizes from the smallest."""


def claims(trained: Trained) -> list[ClaimRecord]:
    """All of them. With one seed none is judged."""
    largest = {arm.mismatch.kind: arm.mismatch for arm in trained if arm.mismatch != EXACT}
    lowered = [one for one in largest.values() if _below(trained, one).within(-math.inf, 0)]
    found = [
        *(_lowers(trained, one) for one in largest.values()),
        _collapses(trained, lowered),
        *(_recovers(trained, name, lowered) for name in CORRECTIONS if name != NONE),
        _better(trained, lowered, "sequence mask", "token TIS"),
        _better(trained, lowered, "token mask", "token TIS"),
        *_rounding(trained),
        _grows(trained, list(largest.values())),
    ]
    if len(trained[EXACT_ARM]) > 1:
        return found
    single = {"supported": None}
    return [one.model_copy(update={**single, "measured": f"{one.measured}; one seed tells no noise"}) for one in found]


def last(values: Sequence[float]) -> float:
    """The mean of the last tenth."""
    return statistics.fmean(values[-max(1, len(values) // TENTH) :])


def first(values: Sequence[float]) -> float:
    return statistics.fmean(values[: max(1, len(values) // TENTH)])


def _by_seed(trained: Trained, of: Callable[[int], float]) -> Interval:
    return interval([of(seed) for seed in range(len(trained[EXACT_ARM]))])


def _final(trained: Trained, mismatch: Mismatch, correction: str = NONE) -> Sequence[float]:
    return [one.final for one in trained[Arm(mismatch, correction)]]


def _below(trained: Trained, mismatch: Mismatch) -> Interval:
    """Final reward without a correction, less that of exact rollouts."""
    own, exact = _final(trained, mismatch), _final(trained, EXACT)
    return _by_seed(trained, lambda seed: own[seed] - exact[seed])


def _lowers(trained: Trained, mismatch: Mismatch) -> ClaimRecord:
    found = _below(trained, mismatch)
    return ClaimRecord(
        claim=f"{mismatch.kind} alone lowers the final reward ({VEXACT})",
        rule=f"without a correction, the largest size ends below exact rollouts, {WITH_INTERVAL}",
        supported=found.within(-math.inf, 0),
        measured=f"{mismatch.label}: {told(found)}",
    )


def _collapses(trained: Trained, lowered: Sequence[Mismatch]) -> ClaimRecord:
    claim = f"a mismatch alone makes training collapse ({VEXACT})"
    rule = f"where {WIDEST} lowers the reward, that ends below the reward before training, {WITH_INTERVAL}, in any kind"

    def lost(mismatch: Mismatch) -> Interval:
        runs = trained[Arm(mismatch, NONE)]
        return _by_seed(trained, lambda seed: runs[seed].final - runs[seed].begun_with)

    return _any_or_all(claim, rule, lowered, lost, (-math.inf, 0), any)


def _recovers(trained: Trained, correction: str, lowered: Sequence[Mismatch]) -> ClaimRecord:
    claim = f"{correction} recovers what a mismatch costs ({SOURCES[correction]})"
    rule = (
        f"wherever {WIDEST} lowers the final reward, that is nearer to that of exact rollouts than to none,"
        f" {WITH_INTERVAL}"
    )
    exact = _final(trained, EXACT)

    def beyond_half(mismatch: Mismatch) -> Interval:
        own, none = _final(trained, mismatch, correction), _final(trained, mismatch)
        return _by_seed(trained, lambda seed: own[seed] - (exact[seed] + none[seed]) / 2)

    return _any_or_all(claim, rule, lowered, beyond_half, (0, math.inf), all)


def _better(trained: Trained, lowered: Sequence[Mismatch], one: str, other: str) -> ClaimRecord:
    claim = f"{one} is better than {other} ({SOURCES[one]})"
    rule = f"wherever {WIDEST} lowers the final reward, that is higher with it, {WITH_INTERVAL}"

    def more(mismatch: Mismatch) -> Interval:
        own, its = _final(trained, mismatch, one), _final(trained, mismatch, other)
        return _by_seed(trained, lambda seed: own[seed] - its[seed])

    return _any_or_all(claim, rule, lowered, more, (0, math.inf), all)


def _any_or_all(
    claim: str,
    rule: str,
    lowered: Sequence[Mismatch],
    of: Callable[[Mismatch], Interval],
    between: tuple[float, float],
    quantifier: Callable[[Iterator[bool]], bool],
) -> ClaimRecord:
    """A claim of mismatches that lower the final reward; where none does, nobody can tell."""
    if not lowered:
        return ClaimRecord(claim=claim, rule=rule, measured="no mismatch lowers the final reward")
    found = {one: of(one) for one in lowered}
    supported = quantifier(each.within(*between) for each in found.values())
    said = "; ".join(f"{one.label}: {told(each)}" for one, each in found.items())
    return ClaimRecord(claim=claim, rule=rule, supported=supported, measured=said)


def _rounding(trained: Trained) -> Iterator[ClaimRecord]:
    fp16, bf16 = (Mismatch("rounding", dtype) for dtype in ("fp16", "bf16"))
    smaller = ClaimRecord(
        claim=f"the mismatch of fp16 is far smaller than that of bf16 ({FP16_PAPER})",
        rule=f"its k3_kl is less than a tenth, {WITH_INTERVAL}",
    )
    harmless = ClaimRecord(
        claim=f"fp16 costs no reward where bf16 does ({FP16_PAPER})",
        rule=f"bf16 ends below exact rollouts and below fp16, {WITH_INTERVAL}",
    )
    if not {Arm(fp16, NONE), Arm(bf16, NONE)} <= trained.keys():
        yield from (one.model_copy(update={"measured": "they are not among the arms"}) for one in (smaller, harmless))
        return
    size = [[statistics.fmean(one.measures["k3_kl"]) for one in trained[Arm(dtype, NONE)]] for dtype in (fp16, bf16)]
    share = _by_seed(trained, lambda seed: size[0][seed] / size[1][seed])
    yield smaller.model_copy(
        update={"supported": share.within(-math.inf, 0.1), "measured": f"{told(share)} of that of bf16"}
    )
    own, other = _final(trained, bf16), _final(trained, fp16)
    lost, less = _below(trained, bf16), _by_seed(trained, lambda seed: own[seed] - other[seed])
    yield harmless.model_copy(
        update={
            "supported": lost.within(-math.inf, 0) and less.within(-math.inf, 0),
            "measured": f"bf16 less exact: {told(lost)}; bf16 less fp16: {told(less)}",
        }
    )


def _grows(trained: Trained, largest: Sequence[Mismatch]) -> ClaimRecord:
    def growth(mismatch: Mismatch) -> Interval:
        curves = [one.measures["k3_kl"] for one in trained[Arm(mismatch, NONE)]]
        return _by_seed(trained, lambda seed: last(curves[seed]) / first(curves[seed]))

    found = {one: growth(one) for one in largest}
    return ClaimRecord(
        claim="the mismatch grows while it is trained (README of VeXact)",
        rule=f"without a correction, k3_kl of the last tenth of the steps is above that of the first, {WITH_INTERVAL},"
        " at the largest size of every kind",
        supported=all(each.within(1, math.inf) for each in found.values()),
        measured="; ".join(f"{one.label}: {told(each)} times" for one, each in found.items()),
    )
