"""A line of commits of a local clone, each installed without its dependencies over one and the same environment."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.bisection.point import BadLine, Line, Point
from harness.environments import pins, recipes, variables
from harness.environments.pins import Lock
from harness.environments.request import Request

DIGITS = 12
"""Of a commit's name, in labels."""


@dataclass(frozen=True)
class Base:
    """What every commit is installed over."""

    request: Request
    lock: Lock
    clone: Path
    folder: Path
    """Where files of pins are written."""

    @property
    def package(self) -> str:
        return recipes.shipped().package(self.request.framework)

    def point(self, told: str) -> Point:
        """The point of a commit, as `_log` prints it."""
        name, day, subject = told.split("\t", 2)
        others = [line for line in self.lock if pins.name(line) != self.package]
        file = self.folder.absolute() / f"{name[:DIGITS]}.txt"
        pins.write([*others, pins.revision(self.package, self.clone, name)], file)
        request = replace(self.request, version=None, overrides=(), pins=file)
        return Point(name[:DIGITS], request, dt.date.fromisoformat(day), told=subject)


def check(clone: Path, revisions: Iterable[str]) -> None:
    """Raises BadLine for what is no clone, and for a revision that it does not have."""
    for revision in revisions:
        _name(clone, revision)


def between(base: Base, good: str | None, bad: str | None) -> Line:
    """The commits from `good` to `bad`, along first parents.

    Without `bad`: to HEAD; without `good`: from the last tag before it. Raises BadLine.
    """
    last = _name(base.clone, bad or "HEAD")
    first = _name(base.clone, good or _tag_before(base.clone, last))
    span = f"{first}..{last}"
    # Of two branches each has commits that the other lacks; only what holds the first one comes after it.
    after = set(_git(base.clone, ["rev-list", "--ancestry-path", span]))
    later = [told for told in _log(base.clone, ["--first-parent", "--reverse", span]) if told.split("\t")[0] in after]
    if not later:
        said = f"{good or first[:DIGITS]} is no ancestor of {bad or 'HEAD'}"
        raise BadLine(f"{said}, or the same commit; give others with --good and --bad")
    points = [base.point(told) for told in (*_log(base.clone, ["-1", first]), *later)]
    return Line(tuple(points), f"commits of {base.package}")


def at(base: Base, revision: str) -> Point:
    """The point of one commit. Raises BadLine."""
    return base.point(_log(base.clone, ["-1", _name(base.clone, revision)])[0])


def _name(clone: Path, revision: str) -> str:
    _git(clone, ["rev-parse", "--git-dir"])  # whatever is wrong with the clone itself is told by git
    asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    found = _git(clone, asked, check=False)
    if not found:
        raise BadLine(f"{clone} has no commit {revision!r}; `git log` there shows what it has")
    return found[0]


def _tag_before(clone: Path, name: str) -> str:
    found = _git(clone, ["describe", "--tags", "--abbrev=0", f"{name}^"], check=False)
    if not found:
        raise BadLine(f"{clone} has no tag before {name[:DIGITS]} to begin with; give a commit with --good")
    return found[0]


def _log(clone: Path, arguments: Sequence[str]) -> list[str]:
    """Name, day and subject of commits, a line each."""
    return _git(clone, ["log", "--no-patch", "--no-show-signature", "--format=%H%x09%cs%x09%s", *arguments])


def _git(clone: Path, arguments: Sequence[str], check: bool = True) -> list[str]:
    """The lines that git prints; none where it fails, unless `check`. Raises BadLine."""
    git = shutil.which("git")
    if git is None:
        raise BadLine("git is not on PATH; install it to bisect over commits")
    if not clone.is_dir():
        raise BadLine(f"{clone} is no folder; give a local clone with --repo")
    # Within `git bisect run`, variables of git's own may name another repository.
    environment = variables.chosen(os.environ, variables.PLACE)
    command = [git, "--no-pager", "-C", str(clone), *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, env=environment)
    if ended.returncode == 0:
        # By newlines alone: subjects hold what `splitlines` and universal newlines take for the end of a line, too.
        return ended.stdout.decode(errors="replace").split("\n")[:-1]
    if check:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        said = said or [f"git ends with status {ended.returncode}"]
        raise BadLine(f"{clone}: {said[0].removeprefix('fatal: ')}; give a local clone with --repo")
    return []
