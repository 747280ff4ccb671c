"""Stock installs, made up."""

from __future__ import annotations

import datetime as dt

from harness.stock.record import FrameworkRecord, OutcomeRecord, ReleaseRecord, Stock

SCENARIOS = ("sft-ragged", "sft-ragged-pairs")

PASS = OutcomeRecord(verdict="pass")
QUARTER = OutcomeRecord(verdict="fail", kinds=("gradient-scale: 1/GA",))
CANNOT = OutcomeRecord(verdict="unsupported", reason="toy has no pairs")
CRASHED = OutcomeRecord(verdict="unknown", reason="rank 1 died")


def release(version: str, days: int, *outcomes: OutcomeRecord | None, covered: bool = True) -> ReleaseRecord:
    told = {name: outcome for name, outcome in zip(SCENARIOS, outcomes, strict=False) if outcome is not None}
    return ReleaseRecord(
        version=version,
        released=dt.date(2026, 1, int(version.rpartition(".")[2]) + 1),
        days=days,
        covered=covered,
        underneath={"transformers": f"5.{version.rpartition('.')[2]}"} if told else {},
        outcomes=told,
    )


def stock(*releases: ReleaseRecord, before: int = 0) -> Stock:
    days = before + sum(r.days for r in releases)
    first = dt.date(2026, 1, 1)
    return Stock(
        lockstep="1",
        first=first,
        last=first + dt.timedelta(days - 1),
        since=first,
        scenarios=SCENARIOS,
        frameworks=(FrameworkRecord(name="toy", before=before, releases=releases),),
    )


EVERYTHING = stock(
    release("1.0", 2, covered=False),
    release("1.1", 3, PASS, CANNOT),
    release("1.2", 5, QUARTER, CANNOT),
    release("1.3", 7, QUARTER, CANNOT),
    release("1.4", 11, CRASHED, PASS),
    release("1.5", 13, PASS, PASS),
    release("1.6", 17, PASS),
    before=19,
)
