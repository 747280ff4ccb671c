"""Files of exact pins: a whole environment written down line by line, as a lock is; no resolver is asked.

A line is `NAME==VERSION`, or `NAME @ git+file:///path/of/a/clone@COMMIT` for a revision of a repository. Behind a
version may stand hashes that its file may have, as `uv pip compile --generate-hashes` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness import files

Lock = tuple[str, ...]
"""Sorted lines, a package each."""

MAX_BYTES = 1 << 20
BACKSLASH = "\\"
"""At the end of a line that goes on in the next one."""

_REVISION = re.compile(r"git\+(file|https)://[^@\s]+@([0-9a-f]{40})")

HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")


class BadPins(Exception):
    """A file of pins cannot be used; the message is one line with the place and the remedy."""


def read(path: Path) -> Lock:
    """The sorted lines of a file of pins, without comments and hashes. Raises BadPins."""
    return tuple(sorted(_read(path)))


def hashes(path: Path) -> dict[str, tuple[str, ...]]:
    """The hashes in a file of pins, by line; a line without is missing. Raises BadPins."""
    return {line: found for line, found in _read(path).items() if found}


def lines(text: str) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Requirements in a text, without comments, and their hashes; by the number of the line that each begins in."""
    told: dict[int, str] = {}
    begun: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition(" #")[0].strip()
        content = "" if content.startswith("#") else content
        first = number if begun is None else begun
        told[first] = f"{told.get(first, '')} {content.removesuffix(BACKSLASH)}".strip()
        begun = first if content.endswith(BACKSLASH) else None
    return {number: _split(line) for number, line in told.items() if line}


def _split(line: str) -> tuple[str, tuple[str, ...]]:
    requirement, *found = re.split(r"\s+--hash=", line)
    whole = all(map(HASH.fullmatch, found))
    return (requirement, tuple(found)) if whole else (line, ())


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    try:
        text = files.read_text(path, MAX_BYTES)
    except files.TooLarge:
        raise BadPins(f"{path} is no file of pins: it has more than {MAX_BYTES >> 20} MiB") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadPins(
            f"{path} cannot be read as a file of pins ({getattr(error, 'strerror', None) or error})"
        ) from None
    pinned = lines(text)
    for number, (line, found) in pinned.items():
        _check(path, number, line, bool(found))
    names = [name(line) for line, _ in pinned.values()]
    if twice := next((each for each in names if names.count(each) > 1), None):
        raise BadPins(f"{path} pins {twice} twice; leave one of the lines out")
    if not pinned:
        raise BadPins(f"{path} pins nothing; write NAME==VERSION lines, as `uv pip freeze` does")
    return dict(pinned.values())


def write(lock: Iterable[str], path: Path) -> None:
    """Write a file of pins that `read` reads back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sorted(lock)) + "\n")


def line(lock: Sequence[str], package: str) -> str | None:
    """The line that pins a package."""
    return next((line for line in lock if name(line) == canonicalize_name(package)), None)


def name(line: str) -> str:
    """The package that a line pins, in its normal form."""
    return canonicalize_name(Requirement(line).name)


def version(line: str) -> str | None:
    """The version that a line pins; None for a revision, which tells its version once it is built."""
    return next((specifier.version for specifier in Requirement(line).specifier), None)


def revision(package: str, clone: Path, commit: str) -> str:
    """The line for a commit (40 hex digits) of a clone."""
    return f"{package} @ git+{clone.absolute().as_uri()}@{commit}"


def _check(path: Path, number: int, line: str, hashed: bool) -> None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        requirement = None
    exact = (
        requirement is not None
        and requirement.marker is None
        and (
            _REVISION.fullmatch(requirement.url) is not None and not hashed
            if requirement.url
            else [s.operator for s in requirement.specifier] == ["=="] and "*" not in line
        )
    )
    if not exact:
        raise BadPins(f"{path}:{number}: {line[:80]!r} is no exact pin; write NAME==VERSION or NAME @ git+URL@COMMIT")
