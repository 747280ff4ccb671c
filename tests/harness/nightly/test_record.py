"""The record of a night: its exit status, and its way to disk and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.nightly import record
from harness.nightly.canaries import CanaryRecord
from harness.nightly.newest import Lookup
from harness.nightly.plan import make
from harness.nightly.record import BadNight, CellSeen, EventRecord, Night
from harness.nightly.tickets import Action, State
from tests.harness.nightly.made import DROPPED, cell
from tests.harness.nightly.test_plan import NEWEST, WISH, nothing


def canary(found: bool) -> CanaryRecord:
    return CanaryRecord(
        release="deepspeed==0.18.9", scenario="sft-ragged", cause=DROPPED, found=found, measured=True, said="said"
    )


def event(action: Action, state: State) -> EventRecord:
    return EventRecord(fingerprint="0", title="t", action=action, state=state, summary="s", cells=("a",))


def night(*verdicts: str, found: bool = True, **more: object) -> Night:
    cells = tuple(CellSeen(framework="torch", version="1", scenario=str(i), verdict=v) for i, v in enumerate(verdicts))
    fields = {"name": "20260101-000000", "lockstep": "0", "cells": cells, "canaries": (canary(found),)}
    return Night.model_validate({**fields, "plan": make(WISH, Lookup(NEWEST), {}, nothing), **more})


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (night("pass", "known", "unsupported"), 0),
        (night("pass", events=(event("close", "closed"),)), 0),
        (night("pass", "fail", events=(event("open", "open"),)), 1),
        (night("fail", events=(event("update", "open"),)), 1),
        (night("fail", "unknown", events=(event("update", "open"),), problems=("no index",)), 1),
        (night("fail", events=(event("open", "open"),), found=False), 3),
        (night("pass", found=False), 3),
        (night("pass", canaries=()), 3),
        (night("pass", "unknown"), 3),
        (night("pass", "fail", events=(event("flaky", "flaky"),)), 3),
        (night("pass", "fail", unconfirmed=("deepspeed: dropped",)), 3),
        (night("pass", problems=("the package index does not answer",)), 3),
        (night("unsupported"), 3),
        (night(), 3),
    ],
)
def test_exit_status(made: Night, status: int) -> None:
    assert made.status == status


def test_a_night_comes_back_from_disk(tmp_path: Path) -> None:
    made = night("pass", events=(event("open", "open"),), news={"trl": "1 -> 2"}).model_copy(
        update={"cells": (record.seen(cell(DROPPED)), record.seen(cell()))}
    )
    (tmp_path / record.NIGHTS / made.name).mkdir(parents=True)
    record.write(made, tmp_path)
    assert record.nights(tmp_path) == [made]
    assert [c.outcome for c in made.cells] == [f"fail: {DROPPED}", "pass"]
    assert record.last_finished([made]) is None


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 2}', "[" * 100_000])
def test_a_damaged_night_is_one_line(tmp_path: Path, text: str) -> None:
    folder = tmp_path / record.NIGHTS / "20260101-000000"
    folder.mkdir(parents=True)
    (folder / record.FILE).write_text(text)
    with pytest.raises(BadNight) as caught:
        record.nights(tmp_path)
    assert "move its folder away" in str(caught.value)
    assert "\n" not in str(caught.value)
