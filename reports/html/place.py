"""Putting a whole folder in its place, or nothing."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARKER = ".lockstep-report"
"""A file in every report's folder, by which an older one is known."""


ENTRIES = frozenset({MARKER, "index.html", "assets", "cells", "traces"})
"""All that a report's folder holds: one with anything else in it is not replaced."""


class NotAReport(Exception):
    """The folder is not to be replaced; the message is one line with the remedy."""


@contextmanager
def whole(out: Path, run: Path) -> Iterator[Path]:
    """An empty folder beside `out` to write into; it takes the place of `out` at the end, and goes if that fails.

    `run` is the folder that the report is of. Raises NotAReport, and OSError where nothing can be written.
    """
    _check(out, run)
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    held = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        partial.chmod(0o755)  # mkdtemp's is for its owner alone
        (partial / MARKER).write_text("made by `lockstep report`; replaced by the next one\n")
        yield partial
        _swap(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(held)


def _sweep(out: Path) -> None:
    """Remove what reports of the same folder have left whose process was killed: nobody holds those any more.

    An older report is put back, if the kill came before the new one was in its place.
    """
    beside = f".{glob.escape(out.name)}.????????"
    try:
        for left in out.parent.glob(f"{beside}.partial"):
            _remove_unless_held(left)
    except BlockingIOError:  # another report of it is being made
        return
    for left in out.parent.glob(f"{beside}.older"):
        if not out.exists() and (left / "report").is_dir():
            (left / "report").rename(out)
        shutil.rmtree(left, ignore_errors=True)


def _remove_unless_held(left: Path) -> None:
    """Raises BlockingIOError if somebody holds it."""
    held = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(left, ignore_errors=True)
    finally:
        os.close(held)


def _check(out: Path, run: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise NotAReport(f"{out} is no folder; give a folder for the report")
    if run.resolve().is_relative_to(out.resolve()):
        raise NotAReport(f"{out} holds the run that the report is of; give another folder")
    if out.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise NotAReport(
            f"{out} is the current folder, or holds it, and would be replaced; go elsewhere, or give another"
        )
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if found and (MARKER not in found or found - ENTRIES):
        what = min(found - ENTRIES, default="nothing that says it is one")
        raise NotAReport(f"{out} holds something other than a report ({what}); give a new or empty folder")


def _swap(partial: Path, out: Path) -> None:
    """The older report stays beside it, as `partial` does, until the new one is in its place."""
    if not out.exists():
        partial.rename(out)
        return
    older = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".older", dir=out.parent))
    try:
        out.rename(older / "report")
        partial.rename(out)
    except BaseException:  # an interrupt as well
        if not out.exists():
            (older / "report").rename(out)
        raise
    finally:
        if out.exists():
            shutil.rmtree(older, ignore_errors=True)
