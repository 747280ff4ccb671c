"""The paper's claims (arXiv 2604.23747) as rules, and whether what was measured supports them. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.seeds import Interval, interval, told
from harness.staircase.attribution import Mended, gap, worth

Kind = Literal["optimizer", "aggregation"]
KINDS: Mapping[str, Kind] = {"dropped-micro-batches": "optimizer", "mean-of-means": "aggregation"}
"""The paper's two bugs, by what the oracle calls them."""

MOST, LITTLE = 0.5, 0.25
"""Shares of the gap that are most of it, and little."""
MOVED = 0.1
"""Change of the mean gradient norm, as a share of the right one, from which on it is moved."""

BySeed = Sequence[float]


@dataclass(frozen=True)
class Measured:
    """By combination of fixes or by label, one number for each seed; all have the same seeds, in the same order."""

    accuracy: Mapping[Mended, BySeed]
    nll: Mapping[Mended, BySeed]
    grad_norm: Mapping[Mended, BySeed]
    """Mean over the steps behind the warm-up."""
    variability: Mapping[Mended, BySeed]
    """Of the logged loss: standard deviation of its changes from step to step in the last half, over root 2."""
    independent: Mapping[str, tuple[BySeed, BySeed] | None]
    """Accuracy and NLL; None of one that was not trained with every seed, or in which something is wrong."""
    kinds: Mapping[str, Kind]
    """Which of the two bugs a fix mends, as the oracle found it."""

    @property
    def scores(self) -> tuple[tuple[str, Mapping[Mended, BySeed]], ...]:
        """Both metrics, higher being better."""
        return ("accuracy", self.accuracy), ("NLL", {m: [-x for x in xs] for m, xs in self.nll.items()})

    def of(self, kind: Kind) -> str | None:
        """The fix of a bug, if there is just one."""
        found = [fix for fix, mended in self.kinds.items() if mended == kind]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Claim:
    """One of them, held against the numbers."""

    claim: str
    rule: str
    supported: bool | None
    """None where nobody can tell."""
    measured: str


NOT_BOTH = "there is not one fix for each of the two bugs among the arms"


def claims(measured: Measured) -> list[Claim]:
    """All of them, in the paper's order."""
    made = [_most(measured), _little(measured), _norm(measured), _variability(measured), *_equal(measured)]
    if min(map(len, measured.accuracy.values())) > 1:
        return made
    return [replace(claim, supported=None, measured=f"{claim.measured}; one seed tells no noise") for claim in made]


def by_seed(values: Mapping[Mended, BySeed], of: Callable[[Mapping[Mended, float]], float]) -> Interval:
    """A function of the scores of all combinations, over the seeds."""
    count = min(map(len, values.values()))
    return interval([of({mended: numbers[seed] for mended, numbers in values.items()}) for seed in range(count)])


def share(values: Mapping[Mended, BySeed], fix: str) -> Interval | None:
    """Of the gap that a fix explains; None where there is a seed without a gap."""
    return _of_gap(values, worth(fix))


def _of_gap(values: Mapping[Mended, BySeed], of: Callable[[Mapping[Mended, float]], float]) -> Interval | None:
    if not all(values[frozenset().union(*values)][seed] > value for seed, value in enumerate(values[frozenset()])):
        return None
    return by_seed(values, lambda scores: of(scores) / gap(scores))


def _most(measured: Measured) -> Claim:
    claim = "the optimizer bug accounts for most of the gap"
    rule = f"its share of the gap is above {MOST:g} by accuracy and by NLL, with its 95 % interval"
    fix = measured.of("optimizer")
    if fix is None or measured.of("aggregation") is None:
        return Claim(claim, rule, None, NOT_BOTH)
    return _shares(claim, rule, measured, worth(fix), (MOST, math.inf))


def _little(measured: Measured) -> Claim:
    claim = "fixing the aggregation alone brings little"
    rule = f"it brings less than {LITTLE:g} of the gap by accuracy and by NLL, with its 95 % interval"
    fix = measured.of("aggregation")
    if fix is None or measured.of("optimizer") is None:
        return Claim(claim, rule, None, NOT_BOTH)

    def alone(scores: Mapping[Mended, float]) -> float:
        return scores[frozenset([fix])] - scores[frozenset()]

    return _shares(claim, rule, measured, alone, (-math.inf, LITTLE))


def _shares(
    claim: str,
    rule: str,
    measured: Measured,
    of: Callable[[Mapping[Mended, float]], float],
    between: tuple[float, float],
) -> Claim:
    """A claim that a part of the gap lies between two shares of it, by both metrics."""
    found = [(name, _of_gap(scores, of)) for name, scores in measured.scores]
    said = [f"{name}: {'no gap' if one is None else f'{told(one)} of the gap'}" for name, one in found]
    supported = all(one is not None and one.within(*between) for _, one in found)
    return Claim(claim, rule, supported, "; ".join(said))


def _norm(measured: Measured) -> Claim:
    claim = "the gradient norm is moved by the optimizer bug only"
    rule = (
        f"without the optimizer's fix the mean norm differs from that of all fixes by more than {MOVED:g} of it, and"
        " without the aggregation's by less, with their 95 % intervals"
    )
    optimizer, aggregation = measured.of("optimizer"), measured.of("aggregation")
    if optimizer is None or aggregation is None:
        return Claim(claim, rule, None, NOT_BOTH)
    every = frozenset().union(*measured.grad_norm)

    def without(fix: str) -> Interval:
        return by_seed(measured.grad_norm, lambda norms: norms[every - {fix}] / norms[every] - 1)

    dropped, averaged = without(optimizer), without(aggregation)
    moved = dropped.within(MOVED, math.inf) or dropped.within(-math.inf, -MOVED)
    said = f"without the optimizer's fix {told(dropped)}, without the aggregation's {told(averaged)} of the right norm"
    return Claim(claim, rule, moved and averaged.within(-MOVED, MOVED), said)


def _variability(measured: Measured) -> Claim:
    claim = "the aggregation bug adds variability to the logged loss"
    rule = "the logged loss varies more from step to step without the aggregation's fix, with its 95 % interval"
    fix = measured.of("aggregation")
    if fix is None:
        return Claim(claim, rule, None, "there is not one fix for it among the arms")
    every = frozenset().union(*measured.variability)
    found = by_seed(measured.variability, lambda variability: variability[every - {fix}] / variability[every])
    said = f"{told(found)} times as much as with all fixes"
    return Claim(claim, rule, found.within(1.0, math.inf), said)


def _equal(measured: Measured) -> list[Claim]:
    every = frozenset().union(*measured.accuracy)
    return [_as(label, measured, every, numbers) for label, numbers in measured.independent.items()]


def _as(label: str, measured: Measured, every: Mended, numbers: tuple[BySeed, BySeed] | None) -> Claim:
    claim = f"all fixes together equal {label} within noise"
    rule = "the means differ by no more than the larger standard deviation over seeds, by accuracy and by NLL"
    if numbers is None:
        return Claim(claim, rule, None, f"{label} was not trained with every seed, or something is wrong in it")
    pairs = zip(("accuracy", "NLL"), (measured.accuracy[every], measured.nll[every]), numbers, strict=True)
    found = [(name, interval(own), interval(other)) for name, own, other in pairs]
    close = all(abs(one.mean - other.mean) <= max(one.sd or 0.0, other.sd or 0.0) for _, one, other in found)
    return Claim(claim, rule, close, "; ".join(f"{name}: {a.mean:.4g} and {b.mean:.4g}" for name, a, b in found))
