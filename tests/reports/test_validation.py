"""The plan of a configuration, for people."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from reports import validation as report
from tests.fuzzing import examples
from tests.harmless import hidden, live
from tests.harness.validation import written
from tests.reports.made import HOSTILE

pytestmark = pytest.mark.fuzz


@settings(max_examples=examples(60), deadline=None)
@given(HOSTILE, HOSTILE)
def test_nothing_in_it_is_alive(one: str, other: str) -> None:
    values = {**written.TRL, "report_to": one, other: 1, "optim": one, "deepspeed": other}
    with tempfile.TemporaryDirectory() as folder:
        told = written.of(str(written.file(Path(folder), "x.yaml", values)))
    assert not live(report.page(told))
    assert not hidden(report.page(told))
    assert not hidden("\n".join(report.lines(told)))


def test_the_worst_comes_first(tmp_path: Path) -> None:
    values = {**written.TRL, "frobnicate": 1}
    plan = written.of(str(written.file(tmp_path, "x.yaml", values)))
    lines = list(report.lines(plan))
    places = [
        next(at for at, line in enumerate(lines) if f": {word}" in line) for word in ("unknown", "swapped", "kept")
    ]
    assert places == sorted(places)
    assert report.counts(plan).startswith(f"{len(values)} keys: 1 unknown to this release, ")
    assert "| frobnicate | 1 | unknown to this release |" in report.page(plan)
