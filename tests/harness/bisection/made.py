"""Made-up lines, and a made-up truth about them in the place of what would be installed and run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.bisection import hunt
from harness.bisection.hunt import Hunt
from harness.bisection.measure import Measured
from harness.bisection.point import Line, Point
from harness.bisection.search import Outcome
from harness.environments.request import Request
from harness.verdicts.verdict import DiagnosisRecord

RIGHT = Outcome("pass")
HOLE = Outcome("uninstallable")
CRASH = Outcome("unknown")
DROPPED = Outcome("fail", ("dropped-micro-batches: 1, 2 of 4",))
SCALED = Outcome("fail", ("gradient-scale: 1/4",))
BOTH = Outcome("fail", (*DROPPED.causes, *SCALED.causes))

REASONS = {"uninstallable": "its setup.py fails: no module named pkg_resources", "unknown": "rank 1 died by signal 11"}


def point(number: int, framework: str = "deepspeed") -> Point:
    """A release that came out as many days after the new year."""
    version = f"0.{number // 10}.{number % 10}"
    date = dt.date(2025, 1, 1) + dt.timedelta(number)
    return Point(version, Request(framework, version), date, series=f"0.{number // 10}")


def line(total: int, of: str = "deepspeed", ends_only: bool = False) -> Line:
    return Line(tuple(map(point, range(total))), of, ends_only)


def diagnosis(kind: str) -> DiagnosisRecord:
    return DiagnosisRecord(
        cause=kind.partition(":")[0],
        kind=kind,
        summary=f"what {kind} means",
        explains=1.0,
        codes=["weights.value"],
        evidence=f"what shows {kind}",
        upstream=f"https://example.org/{kind.partition(':')[0]}",
        remedy="take another release",
    )


def measured(label: str, outcome: Outcome) -> Measured:
    """A measurement as a real one would come out."""
    return Measured(
        outcome,
        version=label,
        reason=REASONS.get(outcome.verdict),
        diagnoses=tuple(map(diagnosis, outcome.causes)),
        seconds=7.5,
        command=f"lockstep run --framework deepspeed=={label}",
    )


@dataclass
class World:
    """What measuring would give, by label: one outcome after another, the last one for ever."""

    truth: Mapping[str, Sequence[Outcome]]
    rounds: list[list[str]] = field(default_factory=list)
    """What was asked for."""
    patience: int | None = None
    """Rounds after which the user interrupts."""
    told: list[tuple[int, int]] = field(default_factory=list)
    made: list[int] = field(default_factory=list)

    def measure(self, points: Sequence[Point], earlier: Sequence[int]) -> list[Measured]:
        if len(self.rounds) == self.patience:
            raise KeyboardInterrupt
        self.rounds.append([p.label for p in points])
        outcomes = [self.truth[p.label] for p in points]
        return [
            measured(p.label, each[min(times, len(each) - 1)])
            for p, each, times in zip(points, outcomes, earlier, strict=True)
        ]

    def asking(self, measured: int, made: int, left: int) -> None:
        self.told.append((measured, left))
        self.made.append(made)


def world(truth: Sequence[Outcome], flaky: Mapping[int, Outcome] | None = None, patience: int | None = None) -> World:
    """A world of releases; `flaky`: what the second measurement of some of them gives."""
    second = flaky or {}
    outcomes = {point(i).label: [each, *([second[i]] if i in second else [])] for i, each in enumerate(truth)}
    return World(outcomes, patience=patience)


def ignore(_: Hunt) -> None:
    pass


def searched(
    truth: Sequence[Outcome], flaky: Mapping[int, Outcome] | None = None, thorough: bool = False, of: str = "deepspeed"
) -> Hunt:
    """A search of releases that came to its end."""
    hunted, there = hunt.begin(line(len(truth), of), thorough), world(truth, flaky)
    hunt.run(hunted, there.measure, there, ignore)
    return hunted
