"""Writing a report: charts and style once, then a page for each cell."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from harness.verdict import ViewRecord
from reports.html import addresses, cell, charts, index, place
from reports.html.templates import Templates
from reports.html.weight_map import KINDS
from reports.source import Cell, Source

INDEX = "index.html"
SNIPPET = "window.vegaEmbed = vegaEmbed;"
"""What the bundle of Vega, Vega-Lite and Vega-Embed ends with."""
MOST_FILES = 60
"""Of a trace that its page links to."""


@dataclass(frozen=True)
class Evidence:
    """Where the trace of a cell is."""

    folder: str
    """Address of its folder, or of the archive."""
    archive: bool
    files: Sequence[tuple[str, str]] = ()
    """Name and address."""
    more: int = 0


def write(source: Source, out: Path, traces: bool = False) -> Path:
    """Write the report into the folder `out`, whole or not at all, an older one there being replaced; its index.

    With `traces` each trace is packed into the report, so that it can be taken elsewhere. Raises NotAReport if `out`
    holds something else, and OSError where nothing can be written.
    """
    with place.whole(out) as partial:
        _Report(source, partial, out, traces).write()
    return out / INDEX


class _Report:
    """One report as it is written: into `folder`, which will be `out`."""

    def __init__(self, source: Source, folder: Path, out: Path, traces: bool) -> None:
        self._source, self._folder, self._out, self._traces = source, folder, out, traces
        self._slugs = addresses.slugs([c.record.name for c in source.cells])
        self._views = {(v.scenario, v.seed): v for v in source.verdict.views}
        self._templates = Templates()
        self._alike: dict[tuple[str, int], list[Cell]] = {}
        for one in source.cells:
            self._alike.setdefault((one.record.scenario, one.record.seed), []).append(one)

    def write(self) -> None:
        self._assets()
        self._index()
        (self._folder / "cells").mkdir()
        pages = {c.record.name: f"{slug}.html" for c, slug in zip(self._source.cells, self._slugs, strict=True)}
        for number in range(len(self._source.cells)):
            self._cell(number, pages)

    def _assets(self) -> None:
        import vl_convert

        assets = self._folder / "assets"
        assets.mkdir()
        (assets / "vega.js").write_text(vl_convert.javascript_bundle(SNIPPET), encoding="utf-8")
        (assets / "charts.js").write_text(charts.script(), encoding="utf-8")
        for name in ("lockstep.css", "lockstep.js"):
            (assets / name).write_bytes(files("reports.html").joinpath("static", name).read_bytes())

    def _index(self) -> None:
        found = index.page(self._source.verdict, [f"cells/{slug}.html" for slug in self._slugs])
        text = self._templates.render(
            "index.html", root="", page=found, folder=str(self._source.folder), marks=index.MARKS
        )
        _save(self._folder / INDEX, text)

    def _cell(self, number: int, pages: Mapping[str, str]) -> None:
        one, slug = self._source.cells[number], self._slugs[number]
        key = (one.record.scenario, one.record.seed)
        others = [other for other in self._alike[key] if other is not one]
        view: ViewRecord | None = self._views.get(key)
        found = cell.page(one, others, view)
        text = self._templates.render(
            "cell.html",
            root="../",
            page=found,
            marks=index.MARKS,
            folder=str(self._source.folder),
            pages=pages,
            others=others,
            evidence=self._evidence(one, slug),
            figures={
                "figures": [figure.drawn for figure in found.figures],
                "kinds": {kind.key: {"mark": kind.mark, "meaning": kind.meaning} for kind in KINDS},
            },
        )
        _save(self._folder / "cells" / f"{slug}.html", text)

    def _evidence(self, one: Cell, slug: str) -> Evidence | None:
        if one.trace is None:
            return None
        if self._traces:
            return Evidence(self._packed(one.trace, slug), archive=True)
        page = self._out / "cells"
        found = list(addresses.files(one.trace))
        shown = [(p.relative_to(one.trace).as_posix(), addresses.link(p, page)) for p in found[:MOST_FILES]]
        return Evidence(addresses.link(one.trace, page), False, shown, len(found) - len(shown))

    def _packed(self, trace: Path, slug: str) -> str:
        """Stored as they are: tensors do not get smaller."""
        folder = self._folder / "traces"
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / f"{slug}.zip", "w") as archive:
            for path in addresses.files(trace):
                archive.write(path, f"{slug}/{path.relative_to(trace).as_posix()}")
        return f"../traces/{slug}.zip"


def _save(path: Path, text: str) -> None:
    # What a verdict holds may be no proper text; a page is.
    path.write_text(text, encoding="utf-8", errors="replace")
