"""Compiled Python files, shared between environments that hold the same packages.

Environments of neighbouring releases differ in one package, yet each would compile all of torch and transformers at its
first start: half of the 10 s of processor time that this takes for DeepSpeed. Sources are hard links into the
installer's cache, so that one and the same file tells that what was compiled from it elsewhere is right here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.environments.environment import Record, read_record

DONORS = 2
"""Environments that are looked through; walking one takes a third of a second."""


def share(root: Path, folder: Path, lock: Sequence[str], platform: str) -> None:
    """Link into the new environment in `folder` what those in `root` that are most like it have compiled.

    Python itself checks the source's size and time before it takes a compiled file, and never writes into one.
    """
    for donor in _alike(root, lock, platform):
        for theirs, ours in zip(_packages(donor), _packages(folder), strict=False):
            _link(theirs, ours)


def _alike(root: Path, lock: Sequence[str], platform: str) -> list[Path]:
    records = ((path.parent, read_record(path.parent)) for path in root.glob("*/environment.json"))
    shared = {folder: _shared(record, lock) for folder, record in records if record and record.platform == platform}
    return sorted((f for f in shared if shared[f]), key=lambda f: (-shared[f], f.name))[:DONORS]


def _shared(record: Record, lock: Sequence[str]) -> int:
    return len(set(record.lock) & set(lock))


def _packages(folder: Path) -> list[Path]:
    return sorted((folder / "venv" / "lib").glob("python*/site-packages"))


def _link(theirs: Path, ours: Path) -> None:
    for compiled in _compiled(theirs):
        source = compiled.parent.parent / f"{compiled.name.partition('.')[0]}.py"
        place = ours / compiled.relative_to(theirs)
        with contextlib.suppress(OSError):  # not here, there already, or just removed: Python compiles it itself
            if source.samefile(ours / source.relative_to(theirs)):
                place.parent.mkdir(exist_ok=True)
                os.link(compiled, place)


def _compiled(folder: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(folder):
        if parent.endswith("__pycache__"):
            yield from (Path(parent, file) for file in files if file.endswith(".pyc"))
