"""Cells by torchrun end as those of a template do."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.contract import Job, batches_file, steps_file
from harness.launch.template import Template
from harness.launch.torchrun import LOG, Torchrun, run
from tests.harness.launch.failing import FAILING

pytestmark = pytest.mark.slow

Make = Callable[..., Job]
Survivors = Callable[[Job], list[int]]

PYTHON = Path(sys.executable)


def test_it_gives_the_same_bits_as_the_template(
    template: Template, variables: dict[str, str], job: Make, survivors: Survivors
) -> None:
    warm, cold = job(), job()
    assert template.run(warm, 60).status == "finished"
    outcome = run(PYTHON, variables, cold, 120)
    assert (outcome.status, outcome.exit_codes) == ("finished", {0: 0, 1: 0})
    assert contents(warm) == contents(cold)
    assert survivors(cold) == []


@FAILING
def test_a_rank_that_fails_is_named(
    variables: dict[str, str], job: Make, survivors: Survivors, how: str, reason: str
) -> None:
    cell = job(how)
    outcome = run(PYTHON, variables, cell, 120)
    assert (outcome.status, outcome.reason) == ("crashed", reason)
    assert survivors(cell) == []


def test_a_hang_ends_with_its_grandchildren(variables: dict[str, str], job: Make, survivors: Survivors) -> None:
    hanging, orphans = job("hang"), job("orphan")
    with Torchrun(PYTHON, variables) as launcher:
        assert launcher.run(hanging, 15).status == "timeout"
        assert launcher.run(orphans, 60).status == "finished"
    assert survivors(hanging) == []
    assert survivors(orphans) == []


def test_closing_ends_what_runs(variables: dict[str, str], job: Make, survivors: Survivors) -> None:
    cell = job("hang")
    launcher = Torchrun(PYTHON, variables)
    running = threading.Thread(target=launcher.run, args=(cell, 120))
    running.start()
    deadline = time.monotonic() + 60
    while len(list(Path(cell.trace).parent.glob("pid-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    launcher.close()
    running.join(10)
    assert not running.is_alive()
    assert survivors(cell) == []


def test_preparing_comes_first_and_once(variables: dict[str, str], job: Make, tmp_path: Path) -> None:
    extensions = tmp_path / "extensions"
    own = {**variables, "TORCH_EXTENSIONS_DIR": str(extensions)}
    first, second = job(strategy="fsdp"), job(strategy="fsdp")
    for cell in (first, second):
        assert run(PYTHON, own, cell, 60).status == "unsupported"
    assert (extensions / f"prepared-{first.adapter}").exists()
    assert "preparing" in (Path(first.trace) / LOG).read_text()
    assert "preparing" not in (Path(second.trace) / LOG).read_text()


def contents(cell: Job) -> dict[str, bytes]:
    trace = Path(cell.trace)
    named = [steps_file(0), steps_file(1), batches_file(0), batches_file(1)]
    files = [*(trace / "tensors").iterdir(), *(trace / name for name in named if (trace / name).exists())]
    return {file.name: file.read_bytes() for file in files}
