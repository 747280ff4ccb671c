"""The record of a night: its exit status, and its way to disk and back."""

from __future__ import annotations

import json
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
        (night("pass", "accepted", "unsupported"), 0),
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


def changed(**fields: object) -> str:
    """The text of a night, but for that."""
    return json.dumps({**night("pass").model_dump(mode="json", by_alias=True), **fields})


def planned(**fields: object) -> str:
    return changed(plan={**night("pass").plan.model_dump(mode="json"), **fields})


DAMAGED = [
    "", "{}", '{"schema": 2}', "[" * 100_000, "\x00", '{"name": "\\ud800"}',
    changed(name="x"), changed(name="../../../esc"), changed(name="20260101-000001"), changed(name="20260101-0"),
    changed(name="2026011-000000"), changed(name=""), changed(finished=1), changed(cells=[{}]),
    planned(newest={"torch": "not a version"}), planned(requests=["torch@/usr/bin/python3"]), planned(canaries=[{}]),
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_night_is_one_line(tmp_path: Path, text: str) -> None:
    folder = tmp_path / record.NIGHTS / "20260101-000000"
    folder.mkdir(parents=True)
    (folder / record.FILE).write_text(text)
    with pytest.raises(BadNight) as caught:
        record.nights(tmp_path)
    assert "move its folder away" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_of_any_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / record.NIGHTS / "20260101-000000"
    folder.mkdir(parents=True)
    record.write(night("pass"), tmp_path)
    assert len(record.nights(tmp_path)) == 1
    monkeypatch.setattr(record, "LARGEST", 100)
    with pytest.raises(BadNight, match="more than 100 bytes"):
        record.nights(tmp_path)


def test_a_night_with_what_there_is_not_any_more_can_be_read(tmp_path: Path) -> None:
    """A scenario that was renamed, and a release that no recipe covers."""
    folder = tmp_path / record.NIGHTS / "20260101-000000"
    folder.mkdir(parents=True)
    canary = {"release": "gone==1.0", "scenario": "sft-renamed", "cause": DROPPED}
    (folder / record.FILE).write_text(planned(canaries=[canary], scenarios=["sft-renamed"], requests=["gone==1.0"]))
    (read,) = record.nights(tmp_path)
    assert read.plan.canaries[0].release == "gone==1.0"
