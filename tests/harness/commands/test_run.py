"""`lockstep run`: what it does with a run that is over."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from harness.commands import run
from harness.session.folder import PAGES, RunFolder
from harness.verdicts import verdict
from tests.reports.made import every_outcome


def report(folder: Path, as_json: bool) -> object:
    """The exit status."""
    with pytest.raises(typer.Exit) as end:
        run._report(every_outcome(), folder, as_json)
    return end.value.exit_code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    verdict.write(every_outcome(), tmp_path)
    return tmp_path


def test_the_pages_are_written_and_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(folder, as_json=False) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f"to look at: {folder / PAGES / 'index.html'}"
    assert (folder / PAGES / "index.html").is_file()
    assert said.err == ""


def test_json_is_all_that_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(folder, as_json=True) == 1
    assert capsys.readouterr().out == (folder / verdict.FILE).read_text()
    assert (folder / PAGES / "index.html").is_file()


@pytest.mark.parametrize("as_json", [False, True])
def test_pages_that_cannot_be_made_are_told_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    (folder / PAGES).write_text("in the way")
    assert report(folder, as_json) == 1
    said = capsys.readouterr()
    assert said.err.startswith("lockstep: no pages for a browser: NotAReport: ")
    assert said.err.count("\n") == 1
    assert (verdict.FILE in said.out) or as_json


@pytest.mark.parametrize("resume", [False, True])
def test_pages_of_an_older_run_do_not_stay(folder: Path, resume: bool) -> None:
    report(folder, as_json=True)
    with RunFolder.claim(folder, resume):
        assert not (folder / PAGES).exists()
