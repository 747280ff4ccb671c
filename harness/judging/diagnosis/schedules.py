"""Which other schedule the learning rates follow, where they do not follow the intended one."""

from __future__ import annotations

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


def followed(evidence: Sequence[StepEvidence]) -> Followed:
    """The first of the other schedules that the rates follow within their floor."""
    intent = evidence[0].right.intent
    got = [rate(e) for e in evidence]
    allowed = [e.floor.tolerance("learning_rate") * intent.rule.learning_rate for e in evidence]

    def follows(other: _Other) -> bool:
        end = other.schedule.horizon
        at = [other.moved(e.step) for e in evidence]
        # Behind the horizon a cosine may rise again: what a schedule has there is its own matter.
        told = [i for i, step in enumerate(at) if not end or step <= end]
        wanted = [other.schedule.rate(intent.rule.learning_rate, step) for step in at]
        return len(told) >= min(2, len(at)) and all(abs(got[i] - wanted[i]) <= allowed[i] for i in told)

    found = next((other for other in _others(intent) if follows(other)), None)
    if found is not None:
        return Followed(found.key, found.summary)
    if got[0] == 0.0 and len(got) > 1 and got[1]:
        return Followed("zero-first", "the learning rate is zero in the first step, which therefore changes nothing")
    return Followed(OTHER, "the learning rate does not follow the schedule")


def rate(evidence: StepEvidence) -> float:
    """What the schedule had for a step, by the first tensor."""
    update = evidence.update.as_asked[0]
    return update.learning_rate / evidence.right.intent.rate_factor(update.tensor)


def _others(intent: Intent) -> Iterator[_Other]:
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
        yield from _other_horizons(told)


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
        yield _Other("no warm-up", "the learning rate has no warm-up", replace(told, warmup_steps=0))
        for start, words in _STARTS.items():
            sentence = f"the warm-up starts {words} instead of {_STARTS[told.warmup_from]}"
            yield _Other("warm-up", sentence, replace(told, warmup_from=start))
    if told.decay != "none":
        flat = replace(told, decay="none", horizon=0)
        yield _Other("no decay", "the learning rate does not fall", flat)
        end = replace(told, least_at="after" if told.least_at == "last" else "last")
        yield _Other("end", "the learning rate reaches its least at another step than it is meant to", end)


def _other_horizons(told: Schedule) -> Iterator[_Other]:
    """The nearest first."""
    before = told.warmup_steps + told.stable_steps
    spans = range(before + 1, LONGEST * told.horizon + 1)
    for span in sorted(spans, key=lambda span: abs(span - told.horizon)):
        sentence = f"the learning rate falls over {span} steps instead of {told.horizon}"
        yield _Other("horizon", sentence, replace(told, horizon=span))
