from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from harness.environments import days, installer
from harness.environments.recipes import Recipes, load, shipped
from harness.environments.releases import NoReleases, Release
from harness.environments.request import Request
from harness.environments.resolution import read, requirements, resolve

OLD = """
[pins]
torch = "2.13.0"
[framework.einops]
newest = "0.7.0"
[[framework.einops.releases]]
versions = ">=0.1"
adapter = "adapters.none"
packages = ["torch", "hjson", "tqdm>=4", "einops=={version}"]
exclude_newer = 2024-01-01
why = "a day after its own"
exempt = [
    "torch", "setuptools", "sympy", "filelock", "fsspec", "jinja2", "networkx", "typing-extensions", "mpmath",
    "markupsafe",
]
"""


@pytest.fixture
def known(tmp_path: Path) -> Recipes:
    (tmp_path / "recipes.toml").write_text(OLD)
    return load(tmp_path / "recipes.toml")


def test_pins_fill_in_what_is_open_and_overrides_win(known: Recipes) -> None:
    release = known.release("einops", "0.7.0")
    plain, alone = requirements(Request("einops", "0.7.0"), release, known.pins)
    assert (plain, alone) == (["torch==2.13.0", "hjson", "tqdm>=4", "einops==0.7.0"], [])
    chosen = Request("einops", "0.7.0", (("torch", "2.12.0"), ("tqdm", "4.60.0")))
    overridden, _ = requirements(chosen, release, known.pins)
    assert "torch==2.13.0" not in overridden
    assert overridden == ["hjson", "einops==0.7.0", "torch==2.12.0", "tqdm==4.60.0"]


def test_an_override_stays_without_its_dependencies(tmp_path: Path) -> None:
    (tmp_path / "recipes.toml").write_text(OLD.replace("exclude_newer", 'no_deps = ["Tri_ton==3"]\nexclude_newer', 1))
    known = load(tmp_path / "recipes.toml")
    chosen = Request("einops", "0.7.0", (("tri-ton", "2.0"),))
    with_, without = requirements(chosen, known.release("einops", "0.7.0"), known.pins)
    assert without == ["tri-ton==2.0"]
    assert with_ == ["torch==2.13.0", "hjson", "tqdm>=4", "einops==0.7.0"]


@pytest.mark.parametrize("text", ["", "torch", "torch==2.13.0\nhalf a li", "torch==2.13.0\n\n"])
def test_a_damaged_lock_is_no_lock(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    assert read(tmp_path / "lock") is None


class Asked:
    """Stands for `uv pip compile`: tells what it was asked, and has no answer before a day."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, since: dt.date = dt.date.min) -> None:
        self.since = since
        self.days: list[dt.date | None] = []
        self.wanted: list[str] = []
        monkeypatch.delenv("UV_NO_INDEX", raising=False)
        monkeypatch.setattr(installer, "run", self)

    def __call__(self, arguments: Sequence[str], *, stdin: str = "", without: Collection[str] = ()) -> str:
        if "--generate-hashes" in arguments:
            return ""  # of which it knows nothing
        given = [a.partition("=")[2] for a in arguments if a.startswith("--exclude-newer=")]
        until = dt.datetime.fromisoformat(given[0]) if given else None
        day = None if until is None else (until - dt.timedelta(1)).date()
        self.days.append(day)
        self.wanted += stdin.splitlines()
        if day is not None and day < self.since:
            raise installer.InstallerError("no solution", "there is no version of dep==3.0")
        return "toy==1.0\ndep==3.0\n"


TOY = """
[pins]
torch = "2.13.0"
dep = "2.0"
[framework.toy]
newest = "1.0"
[[framework.toy.releases]]
versions = ">=1"
adapter = "adapters.none"
packages = ["toy=={version}", "torch", "dep"]
"""
DAY = dt.date(2025, 3, 1)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipes:
    told = (Release("1.0", DAY, yanked=False), Release("2.0", None, yanked=False))
    monkeypatch.setattr(days, "released", functools.partial(days.released, ask=lambda package: told))
    (tmp_path / "toy.toml").write_text('exempt = ["torch"]' + TOY)
    return load(tmp_path / "toy.toml")


def test_a_release_is_resolved_as_of_its_own_day(toy: Recipes, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    resolve(Request("toy", "1.0"), toy, root, print)
    assert set(asked.days) == {DAY}
    assert set(asked.wanted) == {"toy==1.0", "torch==2.13.0", "dep"}  # a day chooses what a pin would


@pytest.mark.parametrize(("late", "taken"), [(0, 0), (1, 1), (2, 3), (7, 7)])
def test_what_it_needs_may_be_some_days_late(
    late: int, taken: int, toy: Recipes, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch, since=DAY + dt.timedelta(late))
    resolve(Request("toy", "1.0"), toy, root, print)
    assert asked.days[-1] == DAY + dt.timedelta(taken)
    assert asked.days == sorted(asked.days)  # no later than has to be


def test_but_not_more_than_a_week(toy: Recipes, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Asked(monkeypatch, since=DAY + dt.timedelta(8))
    with pytest.raises(installer.BuildFailed, match=r"toy 1\.0: there is no dep 3\.0"):
        resolve(Request("toy", "1.0"), toy, root, print)


def test_a_day_of_the_recipe_s_own_or_of_who_asks_wins(
    tmp_path: Path, toy: Recipes, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch)
    resolve(Request("toy", "1.0"), toy, root, print, dt.date(2026, 1, 2))
    assert set(asked.days) == {dt.date(2026, 1, 2)}
    assert "dep" in asked.wanted
    (tmp_path / "own.toml").write_text('exempt = ["torch"]' + TOY + 'exclude_newer = 2025-06-07\nwhy = "spring"\n')
    asked = Asked(monkeypatch)
    resolve(Request("toy", "1.0"), load(tmp_path / "own.toml"), root, print)
    assert set(asked.days) == {dt.date(2025, 6, 7)}
    assert "dep==2.0" in asked.wanted  # stands still with its pins


def test_a_lock_on_disk_needs_no_index(toy: Recipes, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Asked(monkeypatch)
    lock = resolve(Request("toy", "1.0"), toy, root, print)

    def refuse(package: str) -> list[Release]:
        raise NoReleases("no index here")

    monkeypatch.setattr(days, "released", functools.partial(days.released.func, ask=refuse))
    monkeypatch.setattr(installer, "run", pytest.fail)
    assert resolve(Request("toy", "1.0"), toy, root, pytest.fail) == lock


def test_an_index_that_tells_no_day_is_one_line(toy: Recipes, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Asked(monkeypatch)
    with pytest.raises(installer.BuildFailed, match=r"does not tell the day of toy 2\.0, .*UV_DEFAULT_INDEX") as caught:
        resolve(Request("toy", "2.0"), toy, root, print)
    assert caught.value.local
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.frameworks
def test_an_old_release_is_resolved_at_its_own_date(known: Recipes, root: Path) -> None:
    lock = resolve(Request("einops", "0.7.0"), known, root, print)
    chosen = dict(line.split("==", 1) for line in lock)
    assert chosen["tqdm"] == "4.66.1"  # the newest on that day
    assert chosen["torch"].split("+")[0] == "2.13.0"  # exempt: it came out later
    assert resolve(Request("einops", "0.7.0"), known, root, pytest.fail) == lock


@pytest.mark.frameworks
def test_a_release_gets_what_there_was_on_its_day(root: Path) -> None:
    """trl 1.0.0 of 2026-03-30: transformers 5.5.0 came three days later."""
    lock = resolve(Request("trl", "1.0.0"), shipped(), root, print)
    assert {"trl==1.0.0", "transformers==5.4.0", "accelerate==1.13.0", "deepspeed==0.18.9"} <= set(lock)
    assert (root / "days" / "trl.json").exists()
    newer = resolve(Request("trl", "1.0.0", (("transformers", "5.24.0"),)), shipped(), root, print)
    assert {"trl==1.0.0", "transformers==5.24.0"} <= set(newer)
    assert len(set(lock) - set(newer)) < 10  # the rest stays as it was
