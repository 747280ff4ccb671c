from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.environments import days
from harness.environments.releases import NoReleases, Release

ONE, TWO = dt.date(2025, 1, 2), dt.date(2025, 3, 4)


class Index:
    def __init__(self, *told: Release) -> None:
        self.told = told
        self.asked = 0

    def __call__(self, package: str) -> Sequence[Release]:
        self.asked += 1
        return self.told


@pytest.fixture(autouse=True)
def with_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_NO_INDEX", raising=False)


@pytest.fixture
def index() -> Index:
    return Index(
        Release("1.0", ONE, yanked=False), Release("2.0", TWO, yanked=True), Release("3.0", None, yanked=False)
    )


def test_the_index_is_asked_once(root: Path, index: Index) -> None:
    assert days.released("toy", "1.0", root, index) == ONE
    assert days.released("toy", "2.0", root, index) == TWO
    assert index.asked == 1


def test_by_many_at_once_too(root: Path, index: Index) -> None:
    found: list[dt.date | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(days.released("toy", "1.0", root, index))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, index.asked) == ([ONE] * 8, 1)


def test_a_later_release_is_asked_for_anew(root: Path, index: Index) -> None:
    days.released("toy", "1.0", root, index)
    index.told = (*index.told, Release("4.0", TWO, yanked=False))
    assert days.released("toy", "4.0", root, index) == TWO


def test_what_the_index_has_not_has_no_day(root: Path, index: Index) -> None:
    assert days.released("toy", "9.0", root, index) is None


def test_no_day_where_no_index_is_used(root: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_NO_INDEX", "1")
    assert days.released("toy", "1.0", root, index) is None
    assert index.asked == 0


def test_an_index_without_days_is_told(root: Path, index: Index) -> None:
    with pytest.raises(NoReleases, match=r"does not tell the day of toy 3\.0"):
        days.released("toy", "3.0", root, index)


@pytest.mark.parametrize("text", ["", "{", '{"1.0": "soon"}', "[1]"])
def test_a_damaged_file_is_made_anew(root: Path, index: Index, text: str) -> None:
    days.released("toy", "1.0", root, index)
    (root / days.FOLDER / "toy.json").write_text(text)
    assert days.released("toy", "1.0", root, index) == ONE
    assert days.released("toy", "1.0", root, index) == ONE
    assert index.asked == 2
