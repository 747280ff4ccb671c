"""A report takes the place of an older one, and of nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reports.html import place
from reports.html.place import NotAReport

RUN = Path("/nowhere/run")


def put(out: Path, text: str, run: Path = RUN) -> None:
    with place.whole(out, run) as folder:
        (folder / "index.html").write_text(text)


def fail(out: Path) -> None:
    with place.whole(out, RUN) as folder:
        (folder / "index.html").write_text("half")
        raise OSError("full")


def test_an_older_report_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "new" / "html"
    for text in ("first", "second"):
        put(out, text)
        assert (out / "index.html").read_text() == text
    assert [path.name for path in out.parent.iterdir()] == ["html"]


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    put(tmp_path, "here")
    assert (tmp_path / "index.html").read_text() == "here"


def test_what_fails_leaves_the_older_one(tmp_path: Path) -> None:
    out = tmp_path / "html"
    put(out, "first")
    with pytest.raises(OSError, match="full"):
        fail(out)
    assert (out / "index.html").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["html"]


KILLED = """
import os, sys
from pathlib import Path
from reports.html import place
rename, count = Path.rename, 0
def killed(self, target):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os._exit(9)
    return rename(self, target)
Path.rename = killed
with place.whole(Path(sys.argv[1]), Path("/nowhere/run")) as folder:
    (folder / "index.html").write_text("second")
    if sys.argv[2] == "0":
        os._exit(9)
"""


@pytest.mark.parametrize("when", ["0", "1", "2"])
def test_what_a_killed_one_has_left_goes_with_the_next(tmp_path: Path, when: str) -> None:
    """While it writes, and before each of the two steps that put it in its place."""
    out = tmp_path / "html"
    put(out, "first")
    command = [sys.executable, "-c", KILLED, str(out), when]
    assert subprocess.run(command, check=False, cwd=Path(place.__file__).parents[2]).returncode == 9
    assert len(list(tmp_path.iterdir())) > 1
    with place.whole(out, RUN) as folder:
        assert (out / "index.html").read_text() == "first", "nothing was lost"
        (folder / "index.html").write_text("third")
    assert (out / "index.html").read_text() == "third"
    assert [path.name for path in tmp_path.iterdir()] == ["html"]


def test_what_another_one_writes_at_the_same_time_stays(tmp_path: Path) -> None:
    out = tmp_path / "html"
    with place.whole(out, RUN) as folder:
        (folder / "index.html").write_text("first")
        put(out, "second")
        assert folder.is_dir()
    assert (out / "index.html").read_text() == "first"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_no_report_is_not_replaced(tmp_path: Path, kind: str) -> None:
    mine, out = tmp_path / "mine", tmp_path / "out"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years")
    {
        "folder": lambda: mine.rename(out),
        "file": lambda: out.write_text("years"),
        "link": lambda: out.symlink_to(mine),
    }[kind]()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotAReport, match=str(out)):
        put(out, "gone")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("at", [".", "run", "cells/run", "run/cells/.."])
def test_a_report_never_replaces_its_own_run(tmp_path: Path, at: str) -> None:
    out = tmp_path / "html"
    put(out, "first")
    (out / "run" / "cells").mkdir(parents=True)
    (out / "cells" / "run").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotAReport, match="holds the run"):
        put(out, "second", run=out / at)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_report_that_something_was_put_into_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "html"
    put(out, "first")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(NotAReport, match=r"notes\.txt"):
        put(out, "second")
    assert (out / "index.html").read_text() == "first"


@pytest.mark.parametrize("at", ["html", "html/cells"])
def test_the_current_folder_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    (tmp_path / "html").mkdir()
    put(tmp_path / "html", "first")
    (tmp_path / at).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / at)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotAReport, match="current folder"):
        put(Path() if at == "html" else Path(".."), "second")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("rename", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_leaves_one_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rename: int, after: bool
) -> None:
    """Before and after each of the two steps by which the new one takes the older one's place."""
    out = tmp_path / "html"
    put(out, "first")
    real, count = Path.rename, 0

    def interrupted(self: Path, target: Any) -> Path:
        nonlocal count
        count += 1
        moved = real(self, target) if after or count != rename else self
        if count == rename:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put(out, "second")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["html"]
    assert (out / "index.html").read_text() == ("second" if after and rename == 2 else "first")
