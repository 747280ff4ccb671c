"""How much of a gap each fix explains. Pure functions of scores: what they are of, nobody asks."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Mended = frozenset[str]
"""The fixes of an arm, by name."""
Scores = Mapping[Mended, float]
"""One score for every combination of fixes; higher is better."""

_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Quantiles 0.975 of Student's t with 1 to 10 degrees of freedom; beyond, the tenth is a little too wide."""


@dataclass(frozen=True)
class Interval:
    """Numbers of several seeds."""

    mean: float
    sd: float | None
    """Standard deviation over the seeds; None of a single one."""
    low: float | None
    high: float | None
    """The mean's 95 % interval, by Student's t; None of a single seed, and where a number is not finite."""

    def within(self, low: float, high: float) -> bool:
        """Whether the whole interval lies between two numbers; without one it does not."""
        return self.low is not None and self.high is not None and low < self.low and self.high < high


def interval(numbers: Sequence[float]) -> Interval:
    """Of one that is not finite nothing but the mean is told. Raises statistics.StatisticsError for none."""
    mean = statistics.fmean(numbers)
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        return Interval(mean, None, None, None)
    sd = statistics.stdev(numbers)
    half = _T95[min(len(numbers) - 1, len(_T95)) - 1] * sd / math.sqrt(len(numbers))
    return Interval(mean, sd, mean - half, mean + half)


def _all(scores: Scores) -> Mended:
    return frozenset().union(*scores)


def gap(scores: Scores) -> float:
    """What all fixes together bring."""
    return scores[_all(scores)] - scores[frozenset()]


def shapley(scores: Scores) -> dict[str, float]:
    """What each fix brings, in the mean over all orders in which they can be made (Shapley 1953). They add up to the
    gap."""
    fixes = sorted(_all(scores))
    result = {}
    for fix in fixes:
        others = [other for other in fixes if other != fix]
        parts = [
            _share_of_orders(len(before), len(fixes)) * (scores[before | {fix}] - scores[before])
            for count in range(len(fixes))
            for before in map(frozenset, itertools.combinations(others, count))
        ]
        result[fix] = math.fsum(parts)
    return result


def worth(fix: str) -> Callable[[Scores], float]:
    """What one of them brings, of `shapley`."""
    return lambda scores: shapley(scores)[fix]


def _share_of_orders(before: int, count: int) -> float:
    """Share of the orders of `count` fixes in which the very ones of a set of `before` come before another one."""
    return math.factorial(before) * math.factorial(count - before - 1) / math.factorial(count)


def interaction(scores: Scores) -> float:
    """What all fixes together bring beyond the sum of what each brings alone."""
    alone = [scores[frozenset([fix])] - scores[frozenset()] for fix in _all(scores)]
    return gap(scores) - math.fsum(alone)
