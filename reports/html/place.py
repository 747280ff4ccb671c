"""Putting a whole folder in its place, or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARKER = ".lockstep-report"
"""A file in every report's folder, by which an older one is known."""


class NotAReport(Exception):
    """The folder holds something else, which must not be replaced; the message is one line with the remedy."""


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` to write into; it takes the place of `out` at the end, and goes if that fails.

    Raises NotAReport, and OSError where nothing can be written.
    """
    _check(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        partial.chmod(0o755)  # mkdtemp's is for its owner alone
        (partial / MARKER).write_text("made by `lockstep report`; replaced by the next one\n")
        yield partial
        _swap(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise NotAReport(f"{out} is no folder; give a folder for the report")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise NotAReport(f"{out} holds something else than a report; give a new or empty folder")


def _swap(partial: Path, out: Path) -> None:
    """The older report stays beside it, as `partial` does, until the new one is in its place."""
    if out.exists():
        older = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".older", dir=out.parent))
        out.rename(older / "report")
        try:
            partial.rename(out)
        except OSError:
            (older / "report").rename(out)
            raise
        finally:
            shutil.rmtree(older, ignore_errors=True)
    else:
        partial.rename(out)
