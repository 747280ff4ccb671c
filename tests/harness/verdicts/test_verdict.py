"""verdict.json: written whole, read back the same, and refused where it is damaged."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.verdicts import verdict
from harness.verdicts.findings import CODES, UNKNOWN_CODES, Diagnosis, Finding
from harness.verdicts.verdict import (
    CellRecord,
    DistanceRecord,
    UnreadableVerdict,
    Verdict,
    ViewRecord,
    exit_status,
    outcome,
)

FINDING = Finding(
    "weights.scale",
    "the gradient is 1/4 of what it should be",
    step=0,
    rank=1,
    micro_batch=2,
    tensor="lm_head.weight",
    observed=0.1 + 0.2,
    expected=1.0,
    tolerance=1e-5,
    tolerance_source="floor x 8",
    detail={"factor": 0.25, "equals": "1/GA", "places": [[0, 1]]},
)
DIAGNOSIS = Diagnosis("gradient-scale", "1/4", 0.999, ("weights.scale",), "0.25 everywhere", "since 0.18.3", "upgrade")


def cell(said: str = "pass", **changes: object) -> CellRecord:
    fields = {"framework": "torch", "version": "2.13.0", "scenario": "sft-ragged", "verdict": said}
    return CellRecord.model_validate({**fields, **changes})


def whole() -> Verdict:
    failed = cell(
        "fail",
        findings=[verdict.record_finding(FINDING)],
        diagnoses=[verdict.record_diagnosis(DIAGNOSIS)],
        trace="cells/x",
        seconds=0.123456789012345,
        command="lockstep run",
        seed=3,
    )
    return Verdict(lockstep="0.1.0", cells=[failed, cell(), cell(scenario="sft-equal")], complete=True)


def test_a_round_trip_changes_nothing(tmp_path: Path) -> None:
    path = verdict.write(whole(), tmp_path)
    assert path == tmp_path / "verdict.json"
    back = verdict.read(tmp_path)
    assert back.cells == whole().cells
    assert (back.lockstep, back.complete) == ("0.1.0", True)
    assert back.summary == {"fail": 1, "pass": 2}


def test_two_groups_that_are_infinitely_far_apart_are_read_back(tmp_path: Path) -> None:
    """As where the parameters of one of them are no numbers any more."""
    far = DistanceRecord(first=0, second=1, parted=1, gradient=math.inf, parameters=math.nan, drift=math.inf)
    verdict.write(Verdict(views=[ViewRecord(scenario="sft-ragged", seed=0, distances=[far])]), tmp_path)
    (view,) = verdict.read(tmp_path).views
    (found,) = view.distances
    assert (found.gradient, found.drift) == (math.inf, math.inf)
    assert math.isnan(found.parameters)


def test_the_file_is_as_the_design_says(tmp_path: Path) -> None:
    data = json.loads(verdict.write(whole(), tmp_path).read_text())
    assert data["schema"] == 1
    assert data["summary"] == {"fail": 1, "pass": 2}
    (finding,) = data["cells"][0]["findings"]
    assert finding["code"] == "weights.scale"
    assert finding["observed"] == 0.1 + 0.2  # unrounded
    assert (finding["factor"], finding["equals"]) == (0.25, "1/GA")  # detail stands flat
    assert data["cells"][0]["diagnoses"][0]["cause"] == "gradient-scale"
    assert "reason" not in data["cells"][0]


@settings(deadline=None)
@given(value=st.floats() | st.none() | st.text(max_size=5))
def test_numbers_are_never_rounded_and_non_finite_ones_are_words(value: float | str | None) -> None:
    record = verdict.record_finding(Finding("loss.value", "x", observed=value))
    text = Verdict(cells=[cell("fail", findings=[record])]).model_dump_json(by_alias=True)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    back = Verdict.model_validate_json(text).cells[0].findings[0].observed
    if isinstance(value, float) and not math.isfinite(value):
        assert back == ("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    else:
        assert back == value


def test_a_diagnosis_without_a_kind_is_of_its_cause(tmp_path: Path) -> None:
    """As in what was written before there were kinds."""
    verdict.write(Verdict(cells=[cell("fail", diagnoses=[verdict.record_diagnosis(DIAGNOSIS)])]), tmp_path)
    data = json.loads((tmp_path / verdict.FILE).read_text())
    assert data["cells"][0]["diagnoses"][0].pop("kind") == "gradient-scale"
    (tmp_path / verdict.FILE).write_text(json.dumps(data))
    (read,) = verdict.read(tmp_path).cells[0].diagnoses
    assert (read.cause, read.kind) == ("gradient-scale", "gradient-scale")


@pytest.mark.parametrize("code", CODES)
def test_the_outcome_of_one_finding(code: str) -> None:
    assert outcome([Finding(code, "x")]) == ("unknown" if code in UNKNOWN_CODES else "fail")


def test_the_outcome_of_several() -> None:
    proven, unclear = Finding("weights.scale", "x"), Finding("run.incomplete", "x")
    assert outcome([]) == "pass"
    assert outcome([unclear, unclear]) == "unknown"
    assert outcome([unclear, proven]) == outcome([proven, unclear]) == "fail"


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([], 3),
        (["pass"], 0),
        (["pass", "accepted"], 0),
        (["accepted"], 0),
        (["pass", "unsupported"], 0),
        (["unsupported"], 3),
        (["fail"], 1),
        (["pass", "fail"], 1),
        (["unknown", "fail"], 1),
        (["fail", "unsupported"], 1),
        (["unknown"], 3),
        (["pass", "unknown"], 3),
        (["accepted", "unknown", "unsupported"], 3),
    ],
)
def test_exit_status(verdicts: list[str], status: int) -> None:
    assert exit_status(cell(v) for v in verdicts) == status
    assert exit_status(cell(v) for v in reversed(verdicts)) == status


def test_names_are_unique_by_seed() -> None:
    assert cell().name == "torch==2.13.0/sft-ragged"
    assert cell(seed=7).name == "torch==2.13.0/sft-ragged@7"


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict.write(whole(), tmp_path)
    before = (tmp_path / "verdict.json").read_bytes()

    def no_replace(source: Path, target: Path) -> None:
        # All of it is there before the old one goes.
        assert json.loads(Path(source).read_text())["cells"] == []
        assert Path(target).read_bytes() == before
        raise OSError("killed")

    monkeypatch.setattr(os, "replace", no_replace)
    with pytest.raises(OSError, match="killed"):
        verdict.write(Verdict(), tmp_path)
    assert (tmp_path / "verdict.json").read_bytes() == before
    monkeypatch.undo()
    verdict.write(Verdict(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]


def test_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVerdict, match=r"has no verdict\.json; give the --out folder"):
        verdict.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": 2, "cells": []}',
        b'{"schema": 1, "cells": [{"framework": "torch"}]}',
        b'{"schema": 1, "cells": [{"framework": "t", "version": "1", "scenario": "s", "verdict": "green"}]}',
        b'{"schema": 1, "cells": "none"}',
    ],
)
def test_a_corrupt_verdict_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "verdict.json").write_bytes(content)
    with pytest.raises(UnreadableVerdict, match=r"\A[^\n]*verdict\.json cannot be read [^\n]*run the cells again\Z"):
        verdict.read(tmp_path)


def test_the_message_names_the_field(tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_text('{"schema": 1, "cells": [{"framework": "torch"}]}')
    with pytest.raises(UnreadableVerdict, match=r"cells\.0\.version: Field required"):
        verdict.read(tmp_path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    text = verdict.write(whole(), tmp_path).read_bytes()
    for length in range(0, len(text) - 2, 7):
        (tmp_path / "verdict.json").write_bytes(text[:length])
        with pytest.raises(UnreadableVerdict):
            verdict.read(tmp_path)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "verdict.json").mkdir()
    with pytest.raises(UnreadableVerdict, match="cannot be read"):
        verdict.read(tmp_path)


@pytest.mark.parametrize("trace", ["../elsewhere", "/etc", "cells/../../elsewhere"])
def test_a_verdict_from_elsewhere_names_no_path_outside_its_folder(tmp_path: Path, trace: str) -> None:
    cell = {"framework": "torch", "version": "2", "scenario": "s", "verdict": "pass", "trace": trace}
    (tmp_path / verdict.FILE).write_text(json.dumps({"schema": 1, "cells": [cell]}))
    with pytest.raises(verdict.UnreadableVerdict, match="outside"):
        verdict.read(tmp_path)


def test_an_older_release_said_known_of_what_is_accepted() -> None:
    old = {"framework": "verl", "version": "0.9.1", "scenario": "sft-ragged", "verdict": "known"}
    assert CellRecord.model_validate(old).verdict == "accepted"
