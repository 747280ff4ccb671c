"""The day of a release: asked of the package index once, and kept beside the locks, which it is a part of."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness import files
from harness.environments import claims
from harness.environments.releases import NoReleases, Release, releases

FOLDER = "days"
MAX_BYTES = 2**20

_Known = TypeAdapter(dict[str, dt.date])


def released(
    package: str, version: str, root: Path, ask: Callable[[str], Iterable[Release]] = releases
) -> dt.date | None:
    """The day, in UTC, that the first file of a release came out; from `root/days/` if it was asked for before.

    None for a version that the index has not, which may be in a folder of wheels, and where `uv` uses no index at all.
    Raises NoReleases if the index cannot be asked or tells no day, and OSError if `root` cannot be written.
    """
    if os.environ.get("UV_NO_INDEX"):
        return None
    path = root / FOLDER / f"{package}.json"
    if day := _read(path).get(version):
        return day
    with claims.exclusive(root, f"{package}.days", lambda: None):  # many releases of a package are asked for at once
        known = _read(path)
        if version not in known:
            found = {release.version: release.date for release in ask(package)}
            if version in found and found[version] is None:
                raise NoReleases(
                    f"the package index does not tell the day of {package} {version}, as of which its dependencies are"
                    " chosen: name one that does with UV_DEFAULT_INDEX, or give pins, as NAME@FILE.txt"
                )
            known = {name: day for name, day in found.items() if day is not None}
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, _Known.dump_json(known, indent=1).decode() + "\n")
        return known.get(version)


def _read(path: Path) -> dict[str, dt.date]:
    """What was told before; nothing where that is not there or is damaged."""
    try:
        return _Known.validate_json(files.read(path, MAX_BYTES))
    except (OSError, ValidationError):
        return {}
