"""What reports are made from: nothing outside the run's folder, and nothing that a strange trace can break."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, UnreadableVerdict, Verdict
from reports import source


def run(folder: Path, *traces: str | None) -> Path:
    cells = [
        CellRecord(framework="torch", version=str(i), scenario="small", verdict="pass", trace=trace)
        for i, trace in enumerate(traces)
    ]
    folder.mkdir(exist_ok=True)
    verdict.write(Verdict(cells=cells, complete=True), folder)
    return folder


def test_a_cell_tells_what_its_trace_holds(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "run" / "cells" / "torch")
    (cell,) = source.load(run(tmp_path / "run", "cells/torch")).cells
    assert cell.told.header is not None
    assert cell.told.scenario is not None
    assert cell.told.scenario.name == "small"
    assert len(cell.told.reported) == 2
    assert cell.steps == ()


def test_a_cell_without_a_trace_tells_nothing(tmp_path: Path) -> None:
    none, lost = source.load(run(tmp_path / "run", None, "cells/lost")).cells
    for cell in (none, lost):
        assert cell.trace is None
        assert cell.told == source.Told()
        assert cell.steps == ()


def test_a_link_out_of_the_run_is_not_followed(good: Path, tmp_path: Path) -> None:
    folder = run(tmp_path / "run", "cells/torch")
    (folder / "cells").symlink_to(good.parent)
    (folder / "cells" / "torch").unlink(missing_ok=True)
    (cell,) = source.load(folder).cells
    assert cell.trace is None


def test_a_broken_trace_is_a_problem_in_one_line(trace: Path, tmp_path: Path) -> None:
    (trace / "steps-r00.jsonl").write_text("{")
    shutil.copytree(trace, tmp_path / "run" / "a")
    (trace / "header.json").write_text("[]")
    shutil.copytree(trace, tmp_path / "run" / "b")
    half, none = source.load(run(tmp_path / "run", "a", "b")).cells
    assert half.told.header is not None
    assert "steps-r00.jsonl line 1" in (half.told.problem or "")
    assert none.told.header is None
    assert "header.json" in (none.told.problem or "")


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVerdict, match=r"has no verdict\.json"):
        source.load(tmp_path)


def test_torch_is_not_needed() -> None:
    code = "import sys, reports.source; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
