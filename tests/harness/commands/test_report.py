"""`lockstep report`: every format, where it goes, and what is refused."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import cli
from harness.commands.stop import INTERRUPTED
from harness.verdicts import verdict
from reports import github, junit, markdown, source
from tests.reports import recorded
from tests.reports.made import every_outcome

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    verdict.write(every_outcome(), folder)
    return folder


def refused(capsys: Capture, *arguments: str) -> tuple[int, str]:
    """Exit status, and the one line on stderr of a command that does nothing else."""
    status = cli.call(["report", *arguments])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lockstep: ")
    assert said.err.count("\n") == 1
    return status, said.err


def text(format_: str, folder: Path) -> str:
    found = source.load(folder)
    texts = {
        "markdown": markdown.page(found.verdict, str(folder)),
        "junit": junit.xml(found.verdict),
        "github": github.commands(found.verdict),
    }
    return texts[format_]


@pytest.mark.parametrize("format_", ["markdown", "junit", "github"])
def test_text_goes_to_stdout_or_to_a_file(run: Path, tmp_path: Path, capsys: Capture, format_: str) -> None:
    wanted = text(format_, run)
    out = tmp_path / "new" / "folder" / "page"
    for more in ([], ["--out", "-"]):
        assert cli.call(["report", str(run), "--format", format_, *more]) == 0
        assert capsys.readouterr().out == wanted
    for _ in range(2):  # the second replaces the first
        assert cli.call(["report", str(run), "--format", format_, "--out", str(out)]) == 0
        assert out.read_text(encoding="utf-8") == wanted
    assert [path.name for path in out.parent.iterdir()] == ["page"]
    assert capsys.readouterr().out == ""


def test_without_a_format_it_is_pages_for_a_browser(run: Path, tmp_path: Path, capsys: Capture) -> None:
    for _ in range(2):  # the second replaces the first
        assert cli.call(["report", str(run)]) == 0
        assert capsys.readouterr().out == f"to look at: {run / 'html' / 'index.html'}\n"
    assert cli.call(["report", str(run), "--format", "html", "--out", str(tmp_path / "pages"), "--traces"]) == 0
    assert (tmp_path / "pages" / "index.html").is_file()
    capsys.readouterr()
    status, line = refused(capsys, str(run), "--out", str(run))
    assert (status, "holds the run that the report is of" in line) == (2, True)


def test_it_is_told_as_the_run_told_it(run: Path, tmp_path: Path, capsys: Capture) -> None:
    assert cli.call(["report", str(run), "--format", "terminal"]) == 0
    assert "10 cells: 3 FAIL, 1 unknown, 1 accepted, 4 pass, 1 unsupported" in capsys.readouterr().out
    assert cli.call(["report", str(run), "--format", "terminal", "--out", str(tmp_path / "page.txt")]) == 0
    page = (tmp_path / "page.txt").read_text(encoding="utf-8")
    assert "10 cells: 3 FAIL" in page
    assert "\x1b" not in page


def test_the_run_is_left_as_it_was(run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*")}
    for format_ in ("markdown", "junit", "github"):
        cli.call(["report", str(run), "--format", format_])
    assert {path: path.read_bytes() for path in run.rglob("*")} == before


@pytest.mark.parametrize("format_", ["tensorboard", "wandb"])
def test_folders(good: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, format_: str) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    folder = recorded.run(good, tmp_path / "run")
    assert cli.call(["report", str(folder), "--format", format_]) == 0
    assert capsys.readouterr().out.startswith("2 of 3 cells")
    assert any(path.is_file() for path in (folder / format_).rglob("*"))
    status, line = refused(capsys, str(folder), "--format", format_)
    assert (status, "is there already" in line) == (2, True)
    assert cli.call(["report", str(folder), "--format", format_, "--out", str(tmp_path / "other")]) == 0


@pytest.mark.parametrize("format_", ["tensorboard", "wandb"])
def test_an_extra_that_is_missing(run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, format_: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == format_]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, format_, None)
    status, line = refused(capsys, str(run), "--format", format_)
    assert status == 2
    assert f"pip install 'lockstep-llm[{format_}]'" in line
    assert not (run / format_).exists()


def test_what_is_no_run(tmp_path: Path, capsys: Capture) -> None:
    assert refused(capsys, str(tmp_path / "nowhere"))[0] == 2
    assert refused(capsys, str(tmp_path))[0] == 2
    (tmp_path / "verdict.json").write_text("{")
    status, line = refused(capsys, str(tmp_path))
    assert (status, "verdict.json" in line) == (3, True)


def test_wrong_usage(run: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    assert refused(capsys, str(run), "--format", "pdf")[0] == 2
    for out in (tmp_path, tmp_path / "file" / "page"):
        status, line = refused(capsys, str(run), "--format", "markdown", "--out", str(out))
        assert (status, "choose another --out" in line) == (2, True)
    for out in ("-", str(tmp_path / "file")):
        for format_ in ("html", "tensorboard"):
            assert refused(capsys, str(run), "--format", format_, "--out", out)[0] == 2
    assert refused(capsys, str(run), "--format", "junit", "--traces")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]


@pytest.mark.parametrize("format_", ["markdown", "html", "tensorboard"])
@pytest.mark.parametrize("at", ["verdict.json", "cells", "cells/new", "logs/page", "scenarios", "html/../cells"])
def test_a_report_never_takes_the_place_of_the_evidence(run: Path, capsys: Capture, format_: str, at: str) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*")}
    status, line = refused(capsys, str(run), "--format", format_, "--out", str(run / at))
    assert (status, "keeps its evidence" in line) == (2, True)
    assert {path: path.read_bytes() for path in run.rglob("*")} == before


def test_a_run_that_lies_in_a_report_is_not_lost(run: Path, tmp_path: Path, capsys: Capture) -> None:
    pages = tmp_path / "pages"
    assert cli.call(["report", str(run), "--out", str(pages)]) == 0
    capsys.readouterr()
    inside = shutil.copytree(run, pages / "run")
    status, line = refused(capsys, str(inside), "--out", str(pages))
    assert (status, "holds the run" in line) == (2, True)
    assert (inside / "verdict.json").is_file()


def test_a_link_is_written_through(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "page")
    for _ in range(2):
        assert cli.call(["report", str(run), "--format", "github", "--out", str(tmp_path / "link")]) == 0
        assert (tmp_path / "page").read_text(encoding="utf-8") == text("github", run)
    assert (tmp_path / "link").is_symlink()


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["html", "tensorboard"])
def test_a_polite_request_to_end_leaves_nothing_half_written(good: Path, tmp_path: Path, format_: str) -> None:
    """Sent as soon as anything is written, in the midst of some hundred cells."""
    folder = recorded.run(good, tmp_path / "run")
    found = verdict.read(folder)
    many = [found.cells[0].model_copy(update={"seed": seed}) for seed in range(300)]
    verdict.write(found.model_copy(update={"cells": many}), folder)
    out = tmp_path / "out" / "report"
    command = [
        Path(sys.executable).with_name("lockstep"),
        "report",
        str(folder),
        "--format",
        format_,
        "--out",
        str(out),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        while started.poll() is None and not (out.parent.is_dir() and any(out.parent.rglob("*"))):
            time.sleep(0.01)
        started.send_signal(signal.SIGTERM)
        said, told = started.communicate(timeout=60)
    assert (said, told) == ("", "lockstep: interrupted; nothing is left half written\n")
    assert started.returncode == INTERRUPTED
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    "trace", ["cells/\0", *(pytest.param(t, marks=pytest.mark.slow) for t in ("x" * 300, "cells/" + "y/" * 3000))]
)
def test_a_trace_that_no_file_can_be_called_is_no_trace(run: Path, tmp_path: Path, trace: str) -> None:
    found = verdict.read(run)
    verdict.write(found.model_copy(update={"cells": [c.model_copy(update={"trace": trace}) for c in found.cells]}), run)
    assert {cell.trace for cell in source.load(run).cells} == {None}
    for format_ in ("html", "markdown", "tensorboard"):
        assert cli.call(["report", str(run), "--format", format_, "--out", str(tmp_path / format_)]) == 0


@pytest.mark.parametrize("explains", ["Infinity", "-Infinity", "NaN", "1e300", "-0.5"])
@pytest.mark.parametrize("format_", ["html", "terminal", "markdown", "junit", "github", "tensorboard"])
def test_a_share_that_is_none_is_refused_in_a_line(run: Path, capsys: Capture, format_: str, explains: str) -> None:
    path = run / "verdict.json"
    path.write_text(re.sub(r'"explains": [0-9.e+-]+', f'"explains": {explains}', path.read_text()))
    status, line = refused(capsys, str(run), "--format", format_)
    assert (status, "explains" in line) == (3, True)
