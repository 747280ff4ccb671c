"""A night with everything that can be told of one."""

from __future__ import annotations

from harness.nightly import record
from harness.nightly.canaries import Canary, CanaryRecord
from harness.nightly.night import events
from harness.nightly.plan import NightPlan
from harness.nightly.record import CellSeen, Night
from harness.nightly.tickets import Seen, Ticket, advance
from tests.harness.nightly.made import DROPPED, cell

CANARY = Canary(release="deepspeed==0.18.9", scenario="sft-ragged-zero2-offload", cause=DROPPED)
NEWEST = "0.20.0,transformers==5.24.0"


def tickets() -> dict[str, Ticket]:
    """One that is new, on two releases and with one unsteady cell; one still open; one flaky; one closed."""
    old, gone = cell("gradient-scale: 1/GA", scenario="sft-equal"), cell("mean-of-means: rank", framework="trl")
    found = advance({}, Seen("20260101-010000", (old, gone), (old, gone)))
    found = advance(found, Seen("20260102-010000", (cell(framework="trl"),)))
    new = [cell(DROPPED, version=version, scenario=s) for version in ("0.20.0", NEWEST) for s in ("sft-ragged", "a|b")]
    once = cell("bias-correction", framework="verl", version="0.9.1")
    again = [*new[:3], cell(version=NEWEST, scenario="a|b"), cell(framework="verl", version="0.9.1")]
    later = cell("gradient-scale: 1/GA", version="0.20.0", scenario="sft-equal")
    cells = (*new, once, later, cell(framework="trl"))
    return advance(found, Seen("20260103-010000", cells, tuple(again)))


def night(found: bool = True) -> Night:
    plan = NightPlan(
        only=(),
        prereleases=False,
        patterns=("*",),
        canaries=(CANARY,),
        requests=("deepspeed==0.20.0", f"deepspeed=={NEWEST}"),
        scenarios=("sft-ragged",),
        newest={"deepspeed": "0.20.0"},
    )
    said = "the harness no longer finds 'dropped-micro-batches: 1, 2 of 4': the cell is pass"
    return Night(
        name="20260103-010000",
        lockstep="0.1.0",
        plan=plan,
        before="20260102-010000",
        news={"deepspeed": "0.19.8 -> 0.20.0"},
        finished="2026-01-03T02:00:00+00:00",
        cells=tuple(map(record.seen, (cell(DROPPED, version="0.20.0"), cell(scenario="sft-equal")))),
        canaries=(CanaryRecord(**CANARY.model_dump(), found=found, measured=True, said=said),),
        events=events(tickets(), "20260103-010000"),
        unconfirmed=("openrlhf: misreported: loss",),
        problems=("the package index index.example.org does not tell the releases of verl (ConnectTimeout)",),
    )


def before() -> Night:
    cells = (
        CellSeen(framework="deepspeed", version="0.19.8", scenario="sft-ragged", verdict="pass"),
        CellSeen(framework="deepspeed", version="0.19.8", scenario="sft-equal", verdict="pass"),
    )
    return night().model_copy(update={"name": "20260102-010000", "cells": cells, "events": ()})
