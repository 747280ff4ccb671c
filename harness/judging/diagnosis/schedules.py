"""Which other schedule the learning rates follow, where they do not follow the intended one."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.intent.intent import Intent
from harness.intent.schedule import Schedule, WarmupFrom
from harness.judging.evidence import StepEvidence

OTHER = "other"
LONGEST = 64
"""Horizons up to so many times the intended one are tried."""


@dataclass(frozen=True)
class Followed:
    """A schedule that explains the rates of all steps."""

    key: str
    """Of a kind of diagnosis."""
    summary: str


@dataclass(frozen=True)
class _Other:
    """A way to be wrong, with the step of the intended schedule, or the schedule, that it takes instead."""

    key: str
    summary: str
    schedule: Schedule
    moved: Callable[[int], int] = lambda step: step


@dataclass(frozen=True)
class Measured:
    """The rate of one update."""

    update: int
    """From 0. Skipped steps are none."""
    rate: float
    allowed: float
    """How far another rate may be from it, absolute."""


def followed(evidence: Sequence[StepEvidence]) -> Followed:
    """The first of the other schedules that the rates follow within their floor."""
    intent = evidence[0].right.intent
    return explaining(intent, [measured(e) for e in evidence])


def measured(e: StepEvidence) -> Measured:
    """The rate of a step."""
    base = e.right.intent.rule.learning_rate
    return Measured(e.right.update, rate(e), e.floor.tolerance("learning_rate") * base)


def explaining(intent: Intent, rates: Sequence[Measured]) -> Followed:
    """The first of the schedules other than the intended one that gives these rates."""

    def follows(other: _Other) -> bool:
        end = other.schedule.horizon
        at = [(other.moved(one.update), one) for one in rates]
        # Behind the horizon a cosine may rise again: what a schedule has there is its own matter.
        told = [(step, one) for step, one in at if not end or step <= end]
        near = (
            abs(one.rate - other.schedule.rate(intent.rule.learning_rate, step)) <= one.allowed for step, one in told
        )
        return len(told) >= min(2, len(at)) and all(near)

    found = next((other for other in _others(intent, rates) if follows(other)), None)
    if found is not None:
        return Followed(found.key, found.summary)
    if rates[0].rate == 0.0 and len(rates) > 1 and rates[1].rate:
        return Followed("zero-first", "the learning rate is zero in the first step, which therefore changes nothing")
    return Followed(OTHER, "the learning rate does not follow the schedule")


def rate(evidence: StepEvidence) -> float:
    """What the schedule had for a step, by the tensor that tells it best."""
    update = min(evidence.update.as_asked, key=lambda one: one.rate_error)
    return update.learning_rate / evidence.right.intent.rate_factor(update.tensor)


def _others(intent: Intent, rates: Sequence[Measured]) -> Iterator[_Other]:
    told = intent.schedule
    yield _Other(
        "late", "the learning rate is late: every step has the rate of the step before", told, lambda step: step - 1
    )
    yield _Other(
        "early", "the learning rate is early: every step has the rate of the step after", told, lambda step: step + 1
    )
    yield from _fast(intent, 0)
    phases = told.kind in ("phases", "linear-warmup")
    if phases:
        yield from _other_phases(replace(told, kind="phases"))
    yield from _fast(intent, 1)
    if phases and told.decay != "none":
        yield from _other_horizons(intent, rates)


def _fast(intent: Intent, before: int) -> Iterator[_Other]:
    """One that moves behind the optimizer's step, or before it as well (1)."""
    ga, world = intent.accumulation, intent.ranks
    speeds = {"micro-step": ga, "rank": world, "micro-step and rank": ga * world}
    for what, speed in speeds.items():
        if speed == 1:
            continue
        sentence = f"the learning rate's schedule moves once a {what}: {speed} times in an optimizer step"
        yield _Other(f"per {what}", sentence, intent.schedule, functools.partial(_faster, speed, before))


def _faster(speed: int, before: int, step: int) -> int:
    return step * speed + before * (speed - 1)


_STARTS: dict[WarmupFrom, str] = {"first": "at its first step's share", "zero": "at 0", "least": "at the least rate"}


def _other_phases(told: Schedule) -> Iterator[_Other]:
    if told.least:
        yield _Other("least", "the learning rate falls to 0 instead of its least", replace(told, least=0.0))
    if told.warmup_steps:
        plain = replace(told, warmup_shape="linear")
        yield _Other("no warm-up", "the learning rate has no warm-up", replace(plain, warmup_steps=0))
        yield from _engines(told)
        for start, words in _STARTS.items():
            sentence = f"the warm-up starts {words} instead of {_STARTS[told.warmup_from]}"
            yield _Other("warm-up", sentence, replace(plain, warmup_from=start))
    if told.decay != "none":
        flat = replace(told, decay="none", horizon=0)
        yield _Other("no decay", "the learning rate does not fall", flat)
        end = replace(told, least_at="after" if told.least_at == "last" else "last")
        yield _Other("end", "the learning rate reaches its least at another step than it is meant to", end)


def _engines(told: Schedule) -> Iterator[_Other]:
    """Those of DeepSpeed's own configuration (WarmupLR and the like), which are a step late."""
    if told.warmup_steps < 2:
        return
    shape = replace(told, warmup_shape="log", warmup_from="zero", least_at="after")
    flat = replace(shape, decay="none", horizon=0, stable_steps=0)
    for way, rest in ((flat, " and does not fall"), (shape, "")):
        for moved, late in ((0, ""), (1, ", and a step late")):
            sentence = f"the warm-up is logarithmic, as those of DeepSpeed's configuration are{late}{rest}"
            yield _Other("engine", sentence, way, functools.partial(_later, moved))


def _later(by: int, step: int) -> int:
    return step - by


def _other_horizons(intent: Intent, rates: Sequence[Measured]) -> Iterator[_Other]:
    """The nearest first."""
    told = intent.schedule
    for span in sorted(_spans(intent, rates), key=lambda span: abs(span - told.horizon)):
        sentence = f"the learning rate falls over {span} steps instead of {told.horizon}"
        yield _Other("horizon", sentence, replace(told, horizon=span))


def _spans(intent: Intent, rates: Sequence[Measured]) -> set[int]:
    """The nearest horizons that give the rates of the first updates, each with all that are behind such a horizon.

    The longer a fall takes, the higher is each rate. So each measured rate has the horizons between two as its own.
    """
    told, base = intent.schedule, intent.rule.learning_rate
    every = range(told.warmup_steps + told.stable_steps + 1, LONGEST * told.horizon + 1)
    low, high, found = every.start, every.stop - 1, set()
    for number, one in enumerate(rates):

        def rate_by(span: int, update: int = one.update) -> float:
            return replace(told, horizon=span).rate(base, update)

        low = max(low, every.start + bisect.bisect_left(every, one.rate - one.allowed, key=rate_by))
        high = min(high, every.start - 1 + bisect.bisect_right(every, one.rate + one.allowed, key=rate_by))
        last = high if number + 1 == len(rates) else min(high, rates[number + 1].update - 1)
        if low <= last:
            found.add(min(max(told.horizon, low), last))
    return found
