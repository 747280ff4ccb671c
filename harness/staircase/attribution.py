"""How much of a gap each fix explains. Pure functions of scores: what they are of, nobody asks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

Mended = frozenset[str]
"""The fixes of an arm, by name."""
Scores = Mapping[Mended, float]
"""One score for every combination of fixes; higher is better."""


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
