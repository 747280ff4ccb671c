"""What a user asks of a bisection, and the line that it is about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import InvalidName, canonicalize_name

from harness.bisection import commits, dates, releases
from harness.bisection.point import BadLine, Line
from harness.bisection.record import Kind
from harness.environments import patch as patches
from harness.environments import recipes, request, resolution
from harness.environments.request import Request


@dataclass(frozen=True)
class Question:
    """The options of `lockstep bisect` that decide what is bisected."""

    target: str
    vary: str | None = None
    by_date: bool = False
    repo: Path | None = None
    good: str | None = None
    bad: str | None = None
    first: str | None = None
    last: str | None = None
    prereleases: bool = False
    patch: str | None = None

    @property
    def kind(self) -> Kind:
        """Raises BadLine for options that do not go together."""
        given: dict[Kind, bool] = {
            "underneath": self.vary is not None,
            "dates": self.by_date,
            "commits": self.repo is not None,
        }
        chosen = [kind for kind, wanted in given.items() if wanted]
        if len(chosen) > 1:
            raise BadLine("--vary, --by-date and --repo are different bisections; give one of them")
        kind = chosen[0] if chosen else "releases"
        if kind != "commits" and (self.good or self.bad):
            raise BadLine("--good and --bad are commits; give the clone that they are of with --repo")
        if kind == "commits" and (self.first or self.last):
            raise BadLine("--from and --to are releases or dates; give commits with --good and --bad")
        return kind

    def request(self) -> Request:
        """What is bisected, with its patch. Raises BadRequest, BadPatch and BadLine."""
        asked = request.parse(self.target)
        if asked.python is not None or asked.pins is not None:
            raise BadLine(f"{self.target} is one environment as it stands; give a framework, as NAME or NAME==VERSION")
        if self.kind == "releases" and asked.version is not None:
            named = asked.framework
            raise BadLine(f"{self.target} is one release; bisect {named}, or give --vary, --by-date or --repo")
        return replace(asked, patches=(patches.load(self.patch),) if self.patch else ())


@dataclass(frozen=True)
class Found:
    """The line that a question is about."""

    line: Line
    days: dates.Days | None = None
    """With dates: both ends, from which other mixtures can be made."""


def find(question: Question, root: Path, folder: Path, note: Callable[[str], None]) -> Found:
    """`folder`: where files that the line needs are kept. Raises BadLine and whatever the question does."""
    asked = question.request()
    span = releases.Span(question.first, question.last, question.prereleases)
    match question.kind:
        case "releases":
            return Found(releases.of_framework(asked, span))
        case "underneath":
            return Found(releases.underneath(asked.resolved(), _package(question.vary or ""), span))
        case "dates":
            return _dates(question, asked, root, folder, note)
        case "commits":
            return Found(commits.between(base(question, root, folder, note), question.good, question.bad))


def base(question: Question, root: Path, folder: Path, note: Callable[[str], None]) -> commits.Base:
    """What commits are installed over: the environment of the release that was named, or of the newest."""
    assert question.repo is not None
    asked = question.request().resolved()
    # before anything is resolved, which takes its time
    commits.check(question.repo, filter(None, (question.good, question.bad or "HEAD")))
    lock = resolution.resolve(asked, recipes.shipped(), root.absolute(), note)
    return commits.Base(asked, lock, question.repo, folder)


def _dates(question: Question, asked: Request, root: Path, folder: Path, note: Callable[[str], None]) -> Found:
    if question.first is None:
        raise BadLine("--by-date needs two days; give the older one with --from YYYY-MM-DD (--to is today)")
    first, last = _day(question.first), _day(question.last) if question.last else dt.datetime.now(dt.UTC).date()
    days = dates.resolve(asked, first, last, root, folder, note)
    return Found(dates.line(days, first, last), days)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadLine(f"{text!r} is no day; write it as 2025-12-31") from None


def _package(name: str) -> str:
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        raise BadLine(f"{name!r} is not a package name; give one as `pip install` takes it") from None
