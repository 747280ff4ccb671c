"""Scenario files of what was found: one a cause in the folder of a fuzz, and one in a corpus, which is run first."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection
from pathlib import Path

import tomli_w

from harness import files
from harness.fuzzing import axes
from scenarios.files import LARGEST, SUFFIX

MOST = 1000
"""Files of a corpus that are read."""


def named(kind: str, taken: Collection[str]) -> str:
    """A file's name for a cause, unlike those that are taken; the scenario in it is called so too."""
    stem = re.sub(r"[^a-z0-9]+", "-", kind.partition(":")[0].lower()).strip("-")[:60] or "cause"
    names = (stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if f"{name}{SUFFIX}" not in taken)


def write(row: axes.Row, path: Path, comment: str) -> None:
    """The scenario as a file, called as that is. Raises OSError."""
    files.replace(path, text(row, path.stem, comment))


def text(row: axes.Row, name: str, comment: str) -> str:
    """What stands in the file of a scenario."""
    said = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*said, ""]) + tomli_w.dumps({"name": name} | axes.content(row))


def add(row: axes.Row, corpus: Path, comment: str) -> None:
    """Put a scenario into a corpus, where it is not there yet. Raises OSError."""
    corpus.mkdir(parents=True, exist_ok=True)
    path = corpus / f"{axes.name(row)}{SUFFIX}"
    if not path.exists():
        write(row, path, comment)


def read(corpus: Path, warn: Callable[[str], None]) -> list[axes.Row]:
    """The scenarios of a corpus, by name. What is none is left out, and told. Raises OSError."""
    found = []
    for path in sorted(corpus.glob(f"*{SUFFIX}"))[:MOST] if corpus.is_dir() else []:
        try:
            row = axes.row_of(tomllib.loads(files.read_text(path, LARGEST)))
            axes.made(row)
        except (OSError, ValueError, RecursionError) as error:
            said = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            warn(f"{path} is left out: {str(said)[:200]}")
        else:
            found.append(row)
    return found
