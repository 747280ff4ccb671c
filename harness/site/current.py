"""The site file that this process goes by."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from harness.environments import store
from harness.site.place import BadSite
from harness.site.site import Site

_current = Site()
_path: Path | None = None


def current() -> Site:
    """What it says; nothing where there is none."""
    return _current


def path() -> Path | None:
    """Where it stands."""
    return _path


def use(site: Site, path: Path | None) -> None:
    """Go by it from now on. Variables that are set already win, but for the folder of temporary files.

    Raises BadSite where its scratch folder cannot be made.
    """
    global _current, _path
    _current, _path = site, path
    for name, value in {**site.index.variables(), **({store.VARIABLE: site.envs} if site.envs else {})}.items():
        os.environ.setdefault(name, value)
    if site.scratch is not None:
        _scratch(Path(site.scratch))


def _scratch(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSite(f"the site file's scratch folder {path} cannot be made: {error.strerror}") from None
    os.environ["TMPDIR"] = str(path)
    tempfile.tempdir = None  # so that it reads TMPDIR again
