"""The options that decide what is bisected: which go together, and what each kind of line is made from."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bisection import dates, question, releases
from harness.bisection.point import BadLine, Line
from harness.bisection.question import Found, Question, find
from harness.environments.patch import BadPatch
from harness.environments.releases import Release
from harness.environments.request import BadRequest, Request

REPO = Path("clone")
TODAY = dt.datetime.now(dt.UTC).date()


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (Question("deepspeed"), "releases"),
        (Question("deepspeed", first="0.15.0", last="0.16.0", prereleases=True), "releases"),
        (Question("trl==1.16.0", vary="transformers", first="4.50"), "underneath"),
        (Question("trl", by_date=True, first="2025-01-01"), "dates"),
        (Question("deepspeed", repo=REPO, good="a", bad="b"), "commits"),
    ],
)
def test_the_kind_of_a_question(asked: Question, kind: str) -> None:
    assert asked.kind == kind


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Question("trl", vary="torch", by_date=True), "--vary, --by-date and --repo are different bisections"),
        (Question("trl", vary="torch", repo=REPO), "give one of them"),
        (Question("trl", by_date=True, repo=REPO), "give one of them"),
        (Question("trl", vary="torch", by_date=True, repo=REPO), "give one of them"),
        (Question("trl", vary="", by_date=True), "give one of them"),
        (Question("trl", good="a"), "--good and --bad are commits; give the clone that they are of with --repo"),
        (Question("trl", vary="torch", bad="a"), "--good and --bad are commits"),
        (Question("trl", by_date=True, first="2025-01-01", bad="a"), "--good and --bad are commits"),
        (Question("trl", repo=REPO, first="0.1"), "--from and --to are releases or dates; give commits with --good"),
        (Question("trl", repo=REPO, last="0.1"), "--from and --to are releases or dates"),
    ],
)
def test_options_that_exclude_each_other(asked: Question, said: str) -> None:
    with pytest.raises(BadLine) as raised:
        _ = asked.kind
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("asked", [Question("trl==1.16.0", vary="torch"), Question("trl==1.16.0", repo=REPO),
                                   Question("trl==1.16.0", by_date=True, first="2025-01-01")])  # fmt: skip
def test_one_release_is_what_packages_commits_and_dates_lie_under(asked: Question) -> None:
    assert asked.request() == Request("trl", "1.16.0")
    assert replace(asked, target="trl").request() == Request("trl")


def test_what_is_varied_over_releases_may_have_packages_underneath() -> None:
    assert Question("deepspeed,transformers==4.57.3").request() == Request(
        "deepspeed", overrides=(("transformers", "4.57.3"),)
    )


def test_a_line_of_releases_is_not_of_one_release() -> None:
    with pytest.raises(BadLine) as raised:
        Question("deepspeed==0.18.9").request()
    assert str(raised.value) == (
        "deepspeed==0.18.9 is one release; bisect deepspeed, or give --vary, --by-date or --repo"
    )


@pytest.mark.parametrize("target", ["deepspeed@/usr/bin/python", "deepspeed@pins.txt"])
@pytest.mark.parametrize("more", [{}, {"vary": "torch"}, {"repo": REPO}, {"by_date": True}])
def test_an_environment_as_it_stands_has_no_line(target: str, more: dict[str, object]) -> None:
    with pytest.raises(BadLine, match=r"is one environment as it stands; give a framework, as NAME or NAME==VERSION"):
        Question(target, **more).request()


@pytest.mark.parametrize("target", ["", "deepsped", "deepspeed==", "deepspeed>=0.1", "deepspeed==0.1,torch"])
def test_a_target_that_cannot_be_read(target: str) -> None:
    with pytest.raises(BadRequest, match=r"\A[^\n]+\Z"):
        Question(target).request()


def test_a_patch_goes_with_every_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mend.py").write_text('"""Mends it."""\n\n\ndef apply():\n    pass\n')
    monkeypatch.setattr(releases, "releases", lambda package: (Release("0.15.0", None, False),
                                                               Release("0.16.0", None, False)))  # fmt: skip
    found = ask(Question("deepspeed", patch=str(tmp_path / "mend.py")), tmp_path)
    assert [patch.reason for p in found.line.points for patch in p.request.patches] == ["Mends it."] * 2
    with pytest.raises(BadPatch, match="cannot read the patch"):
        ask(Question("deepspeed", patch=str(tmp_path / "none.py")), tmp_path)


# ---- what the lines are made from


def ask(asked: Question, folder: Path) -> Found:
    return find(asked, folder / "envs", folder / "pins", pytest.fail)


def test_releases_of_a_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = tuple(Release(v, None, False) for v in ("0.15.0", "0.16.0", "0.17.0rc1", "0.17.0", "0.18.0"))
    monkeypatch.setattr(releases, "releases", lambda package: known)
    found = ask(Question("deepspeed", first="0.16.0", last="0.17.0", prereleases=True), tmp_path)
    assert [p.label for p in found.line.points] == ["0.16.0", "0.17.0rc1", "0.17.0"]
    assert found.days is None


def test_a_package_under_the_newest_release_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tuple(Release(v, None, False) for v in ("1.0", "2.0"))
    monkeypatch.setattr(releases, "releases", lambda package: known)
    found = ask(Question("deepspeed", vary="Hf_Xet"), tmp_path)
    newest = question.recipes.shipped().framework["deepspeed"].newest
    assert found.line.of == "hf-xet"
    assert [p.request for p in found.line.points] == [
        Request("deepspeed", newest, (("hf-xet", version),)) for version in ("1.0", "2.0")
    ]


@pytest.mark.parametrize("package", ["", " ", "-r", "a b", "../x", "torch==2.0", "torch\n", "x" * 9 + "-"])
def test_what_is_no_package(tmp_path: Path, package: str) -> None:
    with pytest.raises(BadLine) as raised:
        ask(Question("trl==1.16.0", vary=package), tmp_path)
    assert str(raised.value) == f"{package!r} is not a package name; give one as `pip install` takes it"


def test_a_release_without_a_recipe_has_nothing_under_it(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no recipe for trl 0\.1\.0"):
        ask(Question("trl==0.1.0", vary="transformers"), tmp_path)


@pytest.mark.parametrize("day", ["yesterday", "2025-13-01", "2025-02-30", "01.02.2025", "", "0.18.9", "2025-01-01\n"])
@pytest.mark.parametrize("end", ["first", "last"])
def test_what_is_no_day(tmp_path: Path, day: str, end: str) -> None:
    ends = {"first": "2025-01-01", end: day} if day or end == "first" else {"first": day}
    with pytest.raises(BadLine) as raised:
        ask(Question("trl", by_date=True, **ends), tmp_path)
    assert str(raised.value) == f"{day!r} is no day; write it as 2025-12-31"


def test_dates_need_the_older_one(tmp_path: Path) -> None:
    with pytest.raises(BadLine, match=r"\A--by-date needs two days; give the older one with --from YYYY-MM-DD"):
        ask(Question("trl", by_date=True, last="2025-01-01"), tmp_path)


@pytest.mark.parametrize(("last", "day"), [(None, TODAY), ("2025-06-01", dt.date(2025, 6, 1))])
def test_from_one_day_to_another_or_to_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str | None, day: dt.date
) -> None:
    made = dates.Days(Request("trl"), ("a==1",), (dates.Swap("a", "a==1", "a==2"),), tmp_path / "pins")
    asked: list[object] = []

    def resolve(
        request: Request, first: dt.date, until: dt.date, root: Path, folder: Path, note: Callable[[str], None]
    ) -> dates.Days:
        asked.extend((request, first, until, root, folder))
        return made

    monkeypatch.setattr(dates, "resolve", resolve)
    found = ask(Question("trl==0.12.2", by_date=True, first="2025-01-01", last=last), tmp_path)
    assert asked == [
        Request("trl", "0.12.2"), dt.date(2025, 1, 1), day, tmp_path / "envs", tmp_path / "pins"
    ]  # fmt: skip
    assert found == Found(dates.line(made, dt.date(2025, 1, 1), day), made)


def test_commits_over_the_lock_of_the_release_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgSign=false", "-C", str(clone))
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    for subject in ("one", "two"):
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", subject], check=True)
    asked: list[Request] = []

    def resolve(request: Request, *_: object) -> tuple[str, ...]:
        asked.append(request)
        return ("deepspeed==0.18.9", "torch==2.13.0")

    monkeypatch.setattr(question.resolution, "resolve", resolve)
    found = ask(Question("deepspeed==0.18.9", repo=clone, good="HEAD~1"), tmp_path)
    assert asked == [Request("deepspeed", "0.18.9")]
    assert [p.told for p in found.line.points] == ["one", "two"]
    assert isinstance(found.line, Line)
    assert {p.request.pins.parent for p in found.line.points if p.request.pins} == {tmp_path / "pins"}
