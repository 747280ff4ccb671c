"""Where each page of a report lies: file names that no name from a verdict can lead astray."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

LONGEST = 100


def slugs(names: Sequence[str]) -> list[str]:
    """A file name, without its ending, for each name: letters, digits, `.`, `_` and `-`; no two alike in any case."""
    used: set[str] = set()
    return [_unused(_slug(name), used) for name in names]


def _slug(name: str) -> str:
    plain = name.replace("==", "-").replace("/", "-").replace("@", "-seed-")
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", plain)[:LONGEST].strip(".-") or "cell"


def _unused(slug: str, used: set[str]) -> str:
    """Names that differ in what a file name cannot hold, or in upper and lower case alone, get a number."""
    number, found = 1, slug
    while found.lower() in used:
        number += 1
        found = f"{slug}-{number}"
    used.add(found.lower())
    return found


def link(target: Path, page: Path) -> str:
    """A relative address of a file, as it stands on a page in the folder `page`."""
    return quote(Path(os.path.relpath(target.absolute(), page.absolute())).as_posix())


def files(trace: Path) -> Iterable[Path]:
    """The files of a trace, by name; links are left out."""
    found = (path for path in sorted(trace.rglob("*")) if path.is_file() and not path.is_symlink())
    return (path for path in found if path.resolve().is_relative_to(trace.resolve()))
