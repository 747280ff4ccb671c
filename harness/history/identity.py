"""Which harness measured something: its version, and a digest of the sources that decide an outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import harness
import scenarios
from adapters import contract
from harness.version import own_version

ROOTS = (Path(contract.__file__).parents[1], *(Path(file).parent for file in (harness.__file__, scenarios.__file__)))
SUFFIXES = (".py", ".toml")
NOT_DECIDING = (
    "bench",
    "bisection",
    "commands",
    "detection",
    "fuzzing",
    "matrices",
    "nightly",
    "policy",
    "relations",
    "stock",
)
"""Folders of the harness that only ask for outcomes and show them."""


@cache
def identity() -> str:
    """`VERSION+DIGEST`, of a checkout that was edited too: other sources may come to another outcome.

    Read once, since Python keeps what it has imported. Raises OSError.
    """
    return f"{own_version()}+{digest(ROOTS)}"


def digest(roots: tuple[Path, ...]) -> str:
    """Sixteen hex digits over the names and contents of the sources in these folders."""
    found = hashlib.sha256()
    for root in roots:
        for path in _sources(root):
            content = path.read_bytes()
            found.update(f"{root.name}/{path.relative_to(root).as_posix()} {len(content)}\n".encode())
            found.update(content)
    return found.hexdigest()[:16]


def _sources(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.suffix in SUFFIXES and path.relative_to(root).parts[0] not in NOT_DECIDING:
            yield path
