"""500 cells: how the time that their pages take grows, how large the index is, and how soon it is seen."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict, ViewRecord
from reports import html, source
from tests.browser import Browser
from tests.reports.html.conftest import DROPPED, SCENARIO

pytestmark = pytest.mark.slow

RELEASES, SCENARIOS = 25, 20
FEW = 50


@dataclass(frozen=True)
class Built:
    folder: Path
    seconds: float
    few: float
    """Seconds for a tenth of them."""


@pytest.fixture(scope="module")
def built(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """25 releases on 20 scenarios, each cell with a trace of its own and the diagnosis of a fault."""
    folder = tmp_path_factory.mktemp("many")
    found = verdict.read(planted)
    example = next(cell for cell in found.cells if cell.version == DROPPED)
    (view,) = found.views
    cells = []
    for i in range(RELEASES):
        for j in range(SCENARIOS):
            trace = f"cells/{i}/{j}"
            # The pages do not read tensors: what they link to is there all the same.
            shutil.copytree(planted / "cells" / DROPPED, folder / trace, ignore=shutil.ignore_patterns("tensors"))
            (folder / trace / "tensors").symlink_to(planted / "cells" / DROPPED / "tensors")
            cells.append(example.model_copy(update={
                "version": f"1.{i}", "scenario": f"{SCENARIO}-{j}", "trace": trace, "verdict": "fail",
            }))  # fmt: skip
    views = [view.model_copy(update={"scenario": f"{SCENARIO}-{j}"}) for j in range(SCENARIOS)]
    few = _seconds(cells[:: len(cells) // FEW], views, folder)
    return Built(folder / "html", _seconds(cells, views, folder), few)


def _seconds(cells: list[CellRecord], views: list[ViewRecord], folder: Path) -> float:
    """Of this process, which is all that works: the other tests that run at the same time do not count."""
    verdict.write(Verdict(cells=cells, views=views, complete=True), folder)
    shutil.rmtree(folder / "html", ignore_errors=True)
    before = time.process_time()
    html.write(source.load(folder), folder / "html")
    return time.process_time() - before


def test_time_grows_with_cells_alone(built: Built) -> None:
    pages = list((built.folder / "cells").iterdir())
    assert len(pages) == RELEASES * SCENARIOS == 500
    assert all("weights-0" in page.read_text(encoding="utf-8") for page in pages[::50])
    times = RELEASES * SCENARIOS / FEW
    assert built.seconds < 1.5 * times * built.few, f"{built.seconds:.1f} s, a tenth of them in {built.few:.1f} s"


def test_the_index_is_less_than_two_mebibytes(built: Built) -> None:
    assert (built.folder / "index.html").stat().st_size < 2 * 2**20


@pytest.mark.parametrize("page", ["index.html", "cells"])
def test_it_is_seen_in_less_than_a_second(built: Built, browser: Browser, page: str) -> None:
    path = built.folder / page
    browser.open(path if path.is_file() else next(path.iterdir()))
    first = browser.first_paint()
    assert first < 1000, f"{first:.0f} ms"
