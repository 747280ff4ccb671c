"""Numbers over seeds, and claims that are held against them: for every experiment that trains."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

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


def told(found: Interval) -> str:
    """A number with its interval, in words."""
    if found.low is None or found.high is None:
        return f"{found.mean:.3g} (one seed, no interval)"
    return f"{found.mean:.3g} ({found.low:.3g} to {found.high:.3g})"


class Record(BaseModel):
    """A part of an experiment's document."""

    model_config = ConfigDict(populate_by_name=True, ser_json_inf_nan="strings")


class Number(Record):
    """An interval as it is written."""

    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    """Its 95 % interval, by Student's t over the seeds; None of a single seed."""


def number(found: Interval) -> Number:
    return Number(mean=found.mean, sd=found.sd, low=found.low, high=found.high)


class ClaimRecord(Record):
    """Something that a paper claims, held against what was measured."""

    claim: str
    rule: str
    """When it counts as supported."""
    supported: bool | None = None
    """None where nobody can tell."""
    measured: str = ""
