"""Writing a report: charts and style once, then a page for each cell."""

from __future__ import annotations

import zipfile
from functools import cache
from importlib.resources import files
from pathlib import Path

from reports.html import addresses, charts, place
from reports.html.pages import Evidence, Pages
from reports.source import Cell, Source

INDEX = "index.html"
CELLS = "cells"
SNIPPET = "window.vegaEmbed = vegaEmbed;"
"""What the bundle of Vega, Vega-Lite and Vega-Embed ends with."""
MOST_FILES = 60
"""Of a trace that its page links to."""


def write(source: Source, out: Path, traces: bool = False) -> Path:
    """Write the report into the folder `out`, whole or not at all, an older one there being replaced; its index.

    With `traces` each trace is packed into the report, so that it can be taken elsewhere. Raises NotAReport if `out`
    holds something else, or the run itself, and OSError where nothing can be written.
    """
    with place.whole(out, source.folder) as folder:
        _assets(folder / "assets")
        pages = Pages(source)
        _save(folder / INDEX, pages.index())
        (folder / CELLS).mkdir()
        for one, slug in zip(source.cells, pages.slugs, strict=True):
            evidence = _packed(one, folder, slug) if traces else _linked(one, out / CELLS)
            _save(folder / CELLS / f"{slug}.html", pages.cell(one, evidence))
    return out / INDEX


def _assets(folder: Path) -> None:
    folder.mkdir()
    _save(folder / "vega.js", _bundle())
    _save(folder / "charts.js", charts.script())
    for name in ("lockstep.css", "lockstep.js"):
        (folder / name).write_bytes(files("reports.html").joinpath("static", name).read_bytes())


@cache
def _bundle() -> str:
    """What draws the charts. It takes a second to put together, and a process may write several reports."""
    import vl_convert

    return str(vl_convert.javascript_bundle(SNIPPET))


def _save(path: Path, text: str) -> None:
    # What a verdict holds may be no proper text; a page is.
    path.write_text(text, encoding="utf-8", errors="replace")


def _linked(one: Cell, page: Path) -> Evidence | None:
    """The trace where it is, seen from the folder of the page."""
    if one.trace is None:
        return None
    found = list(addresses.files(one.trace))
    shown = [(path.relative_to(one.trace).as_posix(), addresses.link(path, page)) for path in found[:MOST_FILES]]
    return Evidence(addresses.link(one.trace, page), False, shown, len(found) - len(shown))


def _packed(one: Cell, report: Path, slug: str) -> Evidence | None:
    """The trace as an archive in the report; its files are stored as they are, for tensors do not get smaller."""
    if one.trace is None:
        return None
    (report / "traces").mkdir(exist_ok=True)
    with zipfile.ZipFile(report / "traces" / f"{slug}.zip", "w") as archive:
        for path in addresses.files(one.trace):
            archive.write(path, f"{slug}/{path.relative_to(one.trace).as_posix()}")
    return Evidence(f"../traces/{slug}.zip", archive=True)
