"""A report takes the place of an older one, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.html import place
from reports.html.place import NotAReport


def put(out: Path, text: str) -> None:
    with place.whole(out) as folder:
        (folder / "index.html").write_text(text)


def fail(out: Path) -> None:
    with place.whole(out) as folder:
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
