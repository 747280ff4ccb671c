"""What becomes of a part: by its verdicts, by what it should have found, and by its time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from adapters.contract import memory_file
from harness.gpucheck import running
from harness.gpucheck.parts import KNOWN_BAD, LAST, PARTS, Part
from harness.gpucheck.running import Machine
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, Outcome

RIGHT = Part("torch", "torch", ("one", "two"), 60)
BAD = next(part for part in PARTS if part.cause is not None)


def cell(scenario: str, outcome: Outcome, cause: str | None = None, reason: str | None = None) -> CellRecord:
    found = (
        [DiagnosisRecord(cause=cause, summary=f"about {cause}", explains=1.0, codes=[], evidence="")] if cause else []
    )
    return CellRecord(
        framework="torch", version="2", scenario=scenario, verdict=outcome, diagnoses=found, reason=reason
    )


@pytest.mark.parametrize(
    ("part", "cells", "outcome", "says"),
    [
        (RIGHT, [cell("one", "pass"), cell("two", "pass")], "pass", "2 pass"),
        (RIGHT, [cell("one", "pass")], "unknown", "1 pass; 1 not run in time"),
        (
            RIGHT,
            [cell("one", "pass"), cell("two", "fail", "clipping")],
            "FAIL",
            "1 pass; 1 fail; two: about clipping",
        ),
        (
            RIGHT,
            [cell("one", "pass"), cell("two", "unknown", reason="it crashed")],
            "unknown",
            "1 pass; 1 unknown; two: it crashed",
        ),
        (
            RIGHT,
            [cell("one", "pass"), cell("two", "unsupported", reason="no")],
            "pass",
            "1 pass; 1 unsupported; two: no",
        ),
        (RIGHT, [cell(n, "unsupported", reason="no") for n in ("one", "two")], "unsupported", None),
        (BAD, [cell("one", "fail", BAD.cause)], "found", f"1 fail: {BAD.cause}"),
        (BAD, [cell("one", "fail", "clipping")], "FAIL", f"1 fail; {BAD.cause} was not found"),
        (BAD, [cell("one", "pass")], "FAIL", f"1 pass; {BAD.cause} was not found"),
        (BAD, [], "unknown", None),
    ],
)
def test_a_part_is_what_its_cells_say(part: Part, cells: list[CellRecord], outcome: str, says: str | None) -> None:
    found, told = running.judged(part, cells)
    assert found == outcome
    assert says is None or told == says


def test_the_parts_leave_time_for_each_other() -> None:
    assert sum(part.seconds for part in PARTS) <= 400
    assert len({part.name for part in (*PARTS, LAST)}) == len(PARTS) + 1
    assert BAD.framework == KNOWN_BAD


def test_the_largest_memory_of_any_step_is_told_of_the_device_where_there_is_one(tmp_path: Path) -> None:
    lines = [
        {"step": 0, "allocated": None, "reserved": None, "resident": 700},
        {"step": 1, "allocated": 20, "reserved": 90, "resident": 800},
    ]
    for name, given in (("cpu", lines[:1]), ("card", lines[1:])):
        (tmp_path / name).mkdir()
        (tmp_path / name / memory_file(0)).write_text("".join(json.dumps(line) + "\n" for line in given))
    (tmp_path / "old").mkdir()
    cells = {name: cell(name, "pass").model_copy(update={"trace": name}) for name in ("cpu", "card", "old")}
    assert running.peak([cells["cpu"]], tmp_path) == 700
    assert running.peak([cells["card"]], tmp_path) == 90
    assert running.peak([cells["old"]], tmp_path) is None


def test_what_the_training_printed_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("step 0: 1.200 s, 9.5 GiB, 1273.4 M parameters on 1 cuda ranks\nstep 1: 0.3 s, 9.7 GiB, and so on\n")
    assert running.trained_of(log) == ("1273.4 M parameters on 1 cuda ranks", 10415295693)
    log.write_text("step 0: 1.200 s, 0.1 M parameters on 1 cpu ranks\n")
    assert running.trained_of(log) == ("0.1 M parameters on 1 cpu ranks", None)


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\necho begun\nsleep 60\n")
    slow.chmod(0o755)
    begun = time.monotonic()
    assert running.run(Machine("cpu", 1, 1, slow, {}), ["run"], tmp_path / "log", 1.0) is None
    assert time.monotonic() - begun < 30
    assert running.last_line(tmp_path / "log") == "begun"


def test_a_part_without_a_verdict_is_unknown_with_what_was_printed(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho lockstep: it is broken >&2\nexit 2\n")
    broken.chmod(0o755)
    found = running.cells(RIGHT, Machine("cpu", 1, 1, broken, {"torch": Path(sys.executable)}), tmp_path, 20.0)
    assert (found.outcome, found.says) == ("unknown", "no verdict: lockstep: it is broken")
