"""A run with pages, made of the reference and two of its faults, and a browser to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from adapters import faults
from adapters.faults import RIGHT, Plan
from harness.across import view
from harness.judging import judge, summary
from harness.session.cell import judged_record
from harness.traces import recovered_numbers
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict
from reports import html, source
from scenarios import catalogue
from tests import browser as browsers
from tests.browser import Browser
from tests.faults import simulate

DROPPED, MEANS = "drop-intermediate", "mean-of-micro-batches"
PLANS: dict[str, Plan] = {"right": RIGHT, **{name: faults.CATALOGUE[name].plan for name in (DROPPED, MEANS)}}
SCENARIO = "sft-ragged"


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: the right loop, two planted faults, a crash and what cannot be expressed."""
    folder = tmp_path_factory.mktemp("planted")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cells = [_cell(name, plan, folder) for name, plan in PLANS.items()]
    torch.set_num_threads(threads)
    fields = {"framework": "torch", "scenario": SCENARIO}
    crashed = _crashed(folder)
    cells.append(CellRecord(version="crashed", verdict="unknown", reason="rank 1 died", trace=crashed, **fields))
    cells.append(CellRecord(version="old", verdict="unsupported", reason="torch old has no AdamW", **fields))
    verdict.write(Verdict(cells=cells, views=view.views(cells, folder), complete=True, lockstep="0"), folder)
    return folder


def _cell(name: str, plan: Plan, folder: Path) -> CellRecord:
    trace = simulate.run(catalogue.CATALOGUE[SCENARIO](0), plan, folder / "made" / name, name)
    shutil.move(trace, folder / "cells" / name)
    judged = judge.judge(folder / "cells" / name)
    recovered_numbers.write([summary.summarize(step) for step in judged.steps], folder / "cells" / name)
    command = f"lockstep run --framework torch --fault {name}"
    record = CellRecord(
        framework="torch", version=name, scenario=SCENARIO, verdict="unknown", command=command, trace=f"cells/{name}"
    )
    return judged_record(record, judged)


def _crashed(folder: Path) -> str:
    trace = folder / "cells" / "crashed"
    shutil.copytree(folder / "cells" / "right", trace)
    for name in ("end.json", recovered_numbers.FILE):
        (trace / name).unlink()
    (trace / "log-r01.txt").write_text("starting\nRuntimeError: <b>out</b> of luck\n")
    return "cells/crashed"


@pytest.fixture(scope="session")
def pages(planted: Path) -> Path:
    """The report of it; the folder."""
    return html.write(source.load(planted), planted / "html").parent


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with browsers.started() as started:
        yield started
