"""The option `--site`, which every command has: a site file is read, and its values become the defaults of options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.commands.output import warn
from harness.site import place


def use(given: Path | None) -> dict[str, Any]:
    """Go by the site file that there is, and return its values for options. Raises BadSite."""
    path = place.place(given)
    if path is None:
        return {}
    from harness.site import current, site

    read = site.load(path)
    current.use(read, path)
    if path == Path(place.NAME):
        warn(f"going by the site file {path}")
    return read.defaults()
