"""What a configuration names: read only where it lies inside of the folders that go with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


def file(name: str, folders: Sequence[Path]) -> Path | None:
    """A file that lies in one of these folders, or below it."""
    return _found(name, folders, Path.is_file)


def folder(name: str, folders: Sequence[Path]) -> Path | None:
    """The same of a folder."""
    return _found(name, folders, Path.is_dir)


def _found(name: str, folders: Sequence[Path], is_so: Callable[[Path], bool]) -> Path | None:
    for root in folders:
        try:
            place = (root / name).resolve()
            if is_so(place) and place.is_relative_to(root.resolve()):
                return root / name
        except (OSError, ValueError, RuntimeError):
            continue
    return None
