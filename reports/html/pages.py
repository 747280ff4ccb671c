"""The text of every page of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.html import addresses, cell, index
from reports.html.templates import Templates
from reports.html.weight_map import KINDS
from reports.source import Cell, Source


@dataclass(frozen=True)
class Evidence:
    """Where the trace of a cell is, as its page has it."""

    folder: str
    """Address of its folder, or of the archive."""
    archive: bool
    files: Sequence[tuple[str, str]] = ()
    """Name and address."""
    more: int = 0
    """Files beyond those."""


class Pages:
    """All pages of one run."""

    def __init__(self, source: Source) -> None:
        self.slugs = addresses.slugs([one.record.name for one in source.cells])
        """Of each cell, in the verdict's order: the name of its page, without the ending."""
        self._source = source
        self._folder = str(source.folder)
        self._pages = {c.record.name: f"{slug}.html" for c, slug in zip(source.cells, self.slugs, strict=True)}
        self._views = {(v.scenario, v.seed): v for v in source.verdict.views}
        self._templates = Templates()
        self._alike: dict[tuple[str, int], list[Cell]] = {}
        for one in source.cells:
            self._alike.setdefault(_key(one), []).append(one)

    def index(self) -> str:
        found = index.page(self._source.verdict, [f"cells/{slug}.html" for slug in self.slugs])
        return self._templates.render("index.html", root="", page=found, folder=self._folder, marks=index.MARKS)

    def cell(self, one: Cell, evidence: Evidence | None) -> str:
        others = [other for other in self._alike[_key(one)] if other is not one]
        found = cell.page(one, others, self._views.get(_key(one)))
        return self._templates.render(
            "cell.html",
            root="../",
            page=found,
            marks=index.MARKS,
            folder=self._folder,
            pages=self._pages,
            others=others,
            evidence=evidence,
            figures={
                "figures": [figure.drawn for figure in found.figures],
                "kinds": {kind.key: {"mark": kind.mark, "meaning": kind.meaning} for kind in KINDS},
            },
        )


def _key(one: Cell) -> tuple[str, int]:
    """Cells of one scenario have one key."""
    return one.record.scenario, one.record.seed
