"""What is newest, with a package index and a resolver that are played."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.environments import recipes, resolution
from harness.environments.recipes import Recipes
from harness.environments.releases import NoReleases, Release
from harness.environments.request import Request, parse
from harness.nightly.newest import look_up, underneath, watched

TODAY = dt.date(2026, 11, 21)


def released(*versions: str, yanked: str = "") -> tuple[Release, ...]:
    return tuple(Release(version, None, version == yanked) for version in versions)


def test_the_frameworks_and_what_lies_under_them_are_watched() -> None:
    assert {"torch", "transformers", "accelerate", "deepspeed", "trl", "openrlhf", "verl"} <= set(watched())
    assert set(watched(["trl"])) == {"torch", "transformers", "accelerate", "deepspeed", "trl"}
    assert set(watched(["ddp"])) == {"torch", "transformers", "accelerate", "deepspeed"}


@pytest.mark.parametrize(
    ("found", "prereleases", "newest"),
    [
        (released("0.9.0", "0.10.0", "0.2.0"), False, "0.10.0"),
        (released("1.0", "1.1rc1"), False, "1.0"),
        (released("1.0", "1.1rc1"), True, "1.1rc1"),
        (released("1.0", "1.1", yanked="1.1"), False, "1.0"),
    ],
)
def test_the_newest_is_the_highest_that_was_not_withdrawn(
    found: tuple[Release, ...], prereleases: bool, newest: str
) -> None:
    looked_up = look_up(["trl"], prereleases, lambda package: found)
    assert (looked_up.newest, looked_up.problems) == ({"trl": newest}, ())


def test_what_cannot_be_asked_is_a_problem_and_the_others_are_told() -> None:
    def ask(package: str) -> tuple[Release, ...]:
        if package == "verl":
            raise NoReleases("the package index does not tell the releases of verl")
        return released("1.0") if package == "trl" else released("1.0rc1")

    looked_up = look_up(["trl", "verl", "torch"], False, ask)
    assert looked_up.newest == {"trl": "1.0"}
    assert looked_up.problems == ("the package index does not tell the releases of verl; and so for torch",)


def played(monkeypatch: pytest.MonkeyPatch, usual: Mapping[str, str], free: Mapping[str, str]) -> list[Recipes]:
    """A resolver that gives these, with and without the recipes' pins; returns what it was asked without them."""
    asked = []

    def resolve(
        request: Request, known: Recipes, root: Path, note: object, as_of: dt.date | None = None
    ) -> tuple[str, ...]:
        if as_of is not None:
            assert as_of > TODAY
            assert not known.pins
            asked.append(known)
        return tuple(f"{n}=={v}" for n, v in (usual if as_of is None else free).items())

    monkeypatch.setattr(resolution, "resolve", resolve)
    return asked


USUAL = {"trl": "1.16.0", "torch": "2.13.0+cpu", "transformers": "5.22.0", "numpy": "2.0"}


def test_what_is_newer_is_put_underneath_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, USUAL, {"trl": "1.16.0", "torch": "2.15.0+cpu", "transformers": "5.23.0", "numpy": "2.4"})
    found = underneath(parse("trl==1.16.0"), False, Path(), lambda _: None, TODAY)
    assert str(found) == "trl==1.16.0,torch==2.15.0,transformers==5.23.0"


@pytest.mark.parametrize("free", [USUAL, {**USUAL, "torch": "2.13.0"}, {**USUAL, "transformers": "5.0.0"}])
def test_where_nothing_is_newer_there_is_nothing_more_to_run(
    monkeypatch: pytest.MonkeyPatch, free: Mapping[str, str]
) -> None:
    played(monkeypatch, USUAL, free)
    assert underneath(parse("trl==1.16.0"), False, Path(), lambda _: None, TODAY) is None


def test_prereleases_are_taken_of_what_is_watched_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = played(monkeypatch, {**USUAL, "deepspeed": "0.19.8"}, USUAL)
    for prereleases in (False, True):
        underneath(parse("trl==1.16.0"), prereleases, Path(), lambda _: None, TODAY)
    (plain, early) = (known.framework["trl"].packages for known in asked)
    assert set(early) - set(plain) == {"torch>=0.dev0", "transformers>=0.dev0"}
    assert plain == recipes.shipped().framework["trl"].packages
