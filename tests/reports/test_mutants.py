"""Verdicts, recovered numbers and traces with one change anywhere: told by every face, or refused in a line."""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import HEADER, steps_file
from harness import cli
from harness.judging import judge, summary
from harness.oracle.basis_cache import BasisCache
from harness.session.cell import judged_record
from harness.traces import recovered_numbers
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, UnreadableVerdict, Verdict
from tests.fuzzing import examples
from tests.harness import breaking
from tests.mutants import json_changes
from tests.mutants.json_changes import Unchanged
from tests.reports.test_across import parted
from tests.reports.test_terminal import DROPPED, finding

TRACE = Path("cells") / "one"
FILES = (Path(verdict.FILE), TRACE / recovered_numbers.FILE, TRACE / HEADER, TRACE / steps_file(0))


@pytest.fixture(scope="module")
def run(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one wrong cell with its trace, and a view."""
    folder = tmp_path_factory.mktemp("run")
    trace = Path(shutil.copytree(good, folder / TRACE))
    breaking.reported(trace, lambda lines: lines[1].update(loss=9.0))
    judged = judge.judge(trace, BasisCache())
    recovered_numbers.write([summary.summarize(step) for step in judged.steps], trace)
    plain = CellRecord(framework="torch", version="1", scenario="small", verdict="unknown", trace=TRACE.as_posix())
    wrong = judged_record(plain, judged).model_copy(
        update={"seconds": 1.5, "command": "lockstep run", "scenario_hash": None}
    )
    more = wrong.model_copy(
        update={"version": "2", "trace": None, "findings": [finding("weights.scale", 0)], "diagnoses": [DROPPED]}
    )
    verdict.write(Verdict(cells=[wrong, more], views=[parted("small")], complete=True, lockstep="0"), folder)
    return folder


def _changed(run: Path, home: Path, name: Path, draw: random.Random) -> Path:
    """A copy of the run with one change in a file."""
    folder = Path(shutil.copytree(run, home / "run"))
    lines = (folder / name).read_text().splitlines() if name.suffix == ".jsonl" else [(folder / name).read_text()]
    at = draw.randrange(len(lines))
    while True:
        try:
            lines[at] = json_changes.text(json_changes.change(json.loads(lines[at]), draw)[0])
            break
        except Unchanged:
            continue
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.fuzz
@settings(deadline=None, max_examples=examples(100))
@given(seed=st.integers(0, 2**32))
def test_a_verdict_is_read_or_refused_in_a_line(run: Path, seed: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = _changed(run, Path(home), Path(verdict.FILE), random.Random(seed))
        try:
            verdict.read(folder)
        except UnreadableVerdict as error:
            assert re.fullmatch(r"[^\n]{1,1000}", str(error))  # noqa: PT017  either way is right


@pytest.mark.fuzz
@settings(deadline=None, max_examples=examples(20))
@given(seed=st.integers(0, 2**32), name=st.sampled_from(FILES))
def test_every_face_of_a_run_ends_with_a_status(run: Path, seed: int, name: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = _changed(run, Path(home), name, random.Random(seed))
        for format_ in ("html", "terminal", "markdown", "junit", "github"):
            out = str(Path(home) / format_)
            assert cli.call(["report", str(folder), "--format", format_, "--out", out]) in (0, 2, 3), format_
        for command in ("explain", "judge"):
            assert cli.call([command, str(folder)]) in (0, 1, 2, 3), command


@pytest.mark.parametrize(
    "content",
    ['{"cells": [' + "1," * 2_000_000 + "1]}", '{"cells": [' + "{}," * 2_000_000 + "{}]}", '{"x": ' + "[" * 10**6],
    ids=["numbers", "objects", "deep"],
)
def test_a_verdict_of_a_million_faults_is_told_by_its_first(tmp_path: Path, content: str) -> None:
    (tmp_path / verdict.FILE).write_text(content)
    with pytest.raises(UnreadableVerdict, match=r"\A[^\n]{1,500}\Z"):
        verdict.read(tmp_path)


def test_a_verdict_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / verdict.FILE).write_bytes(b" " * (verdict.MAX_BYTES + 1))
    with pytest.raises(UnreadableVerdict, match="it has more than 16777216 bytes"):
        verdict.read(tmp_path)
