"""`python -m tests.clean`: right releases on many seeds, bf16 and tied embeddings among them; none may be found wrong.

A run that was interrupted is gone on with by the same command. Exit status: 0 without a false alarm, 1 with one, 3
where a cell could not be judged.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adapters.contract import Scenario
from harness.commands.progress import Progress
from harness.commands.stop import INTERRUPTED, terminable
from harness.environments.request import parse
from harness.gpucheck import deviations
from harness.judging import accepted
from harness.judging.judge import Judgement, judge
from harness.oracle.basis_cache import BasisCache
from harness.session import real
from harness.session.folder import RunFolder
from harness.session.parts import Parts
from harness.session.plan import Choice, Plan
from harness.session.session import Session
from harness.verdicts.verdict import CellRecord, Verdict
from tests.clean import variants
from tests.clean.variants import EVERYWHERE, SHARDED, WITH_DEEPSPEED

FRAMEWORKS = ("torch", "ddp", "fsdp2", "deepspeed", "trl", "llamafactory", "openrlhf", "verl")
SEEDS = 20
OUT = Path(".runs/clean")
VERDICTS = ("pass", "accepted", "fail", "unknown", "unsupported")


def plan(frameworks: Sequence[str], names: Sequence[str], seeds: Sequence[int], jobs: int) -> Plan:
    """Every framework on every scenario that it can express, seed by seed."""
    requests = tuple(parse(text).resolved() for text in frameworks)
    choices = tuple(Choice(name, seed) for seed in seeds for name in names)
    pairs = frozenset(
        (request, choice)
        for request in requests
        for choice in choices
        if choice.name not in SHARDED or request.framework in WITH_DEEPSPEED
    )
    return Plan(requests=requests, choices=choices, jobs=jobs, pairs=pairs)


def parts(whole: Plan, envs: Path | None) -> Parts:
    """What `lockstep run` works with, but for what a test leaves alone: no history, no views across frameworks."""
    known = variants.accepted_of(accepted.load(accepted.FILE))
    usual = real.parts(whole, envs, known, lambda text: print(text, file=sys.stderr))
    return replace(usual, judge=_judge_and_measure(), keep=lambda cell: None, views=lambda cells, folder: [])


def _judge_and_measure() -> Callable[[Path], Judgement]:
    cache = BasisCache()

    def judge_and_measure(trace: Path) -> Judgement:
        judged = judge(trace, cache)
        if judged.steps and not judged.findings:
            deviations.write(judged.steps, trace)
        return judged

    return judge_and_measure


def counts(cells: Sequence[CellRecord]) -> Table:
    """Cells by scenario and verdict, with the frameworks that they are of."""
    table = Table("scenario", *VERDICTS, "cells")
    for name in dict.fromkeys(cell.scenario for cell in cells):
        mine = Counter(cell.verdict for cell in cells if cell.scenario == name)
        table.add_row(name, *(str(mine[v] or "") for v in VERDICTS), str(mine.total()))
    every = Counter(cell.verdict for cell in cells)
    table.add_row("all", *(str(every[v]) for v in VERDICTS), str(every.total()), style="bold")
    return table


def needed(verdict: Verdict, folder: Path, precisions: dict[str, str]) -> list[Table]:
    """What the clean cells needed of each tolerance, one table a precision."""
    tables = []
    for precision in ("fp32", "bf16"):
        clean = {
            cell.name: folder / cell.trace
            for cell in verdict.cells
            if cell.verdict == "pass" and cell.trace and precisions[cell.scenario] == precision
        }
        table = Table(f"{precision}, {len(clean)} cells", "floor (median)", "largest, in floors", "in")
        for need in deviations.needs(clean):
            table.add_row(deviations.WORDS[need.quantity], f"{need.floor:.1e}", f"{need.largest:.2f}", need.cell)
        tables.append(table)
    return tables


def _alarms(cells: Sequence[CellRecord]) -> list[str]:
    told = [(cell.name, finding.message) for cell in cells if cell.verdict == "fail" for finding in cell.findings]
    silent = [(cell.name, cell.reason or "") for cell in cells if cell.verdict == "unknown"]
    return [f"{name}: {message}" for name, message in (*told, *silent)]


def show(verdict: Verdict, folder: Path, scenario: Callable[[str], Scenario], console: Console) -> None:
    """Tables of what was found, and a line for each finding in a cell that should be clean."""
    console.print(counts(verdict.cells))
    precisions = {cell.scenario: scenario(cell.scenario).precision.compute for cell in verdict.cells}
    for table in needed(verdict, folder, precisions):
        console.print(table)
    for line in _alarms(verdict.cells):
        console.print(line, soft_wrap=True, markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not yet there, and show all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.clean", description=(__doc__ or "").split(":", 1)[1].strip())
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"seeds of each cell, by default {SEEDS}")
    parser.add_argument("--framework", action="append", help="may be repeated; by default all of them, newest releases")
    parser.add_argument("--scenario", action="append", help="may be repeated; by default all that are used here")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2), help="most cells at once")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the run, by default {OUT}")
    parser.add_argument("--envs", type=Path, default=None, help="folder of environments")
    options = parser.parse_args(arguments)
    variants.register()
    whole = plan(
        options.framework or FRAMEWORKS,
        options.scenario or (*EVERYWHERE, *SHARDED),
        range(options.seeds),
        options.jobs,
    )
    console = Console(stderr=True)
    try:
        with (
            RunFolder.claim(options.out, resume=True) as folder,
            terminable(),
            Progress(lambda done: f"{done}/{whole.cells}", console) as progress,
        ):
            verdict = Session(whole, folder, parts(whole, options.envs), progress).run()
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with it", file=sys.stderr)
        return INTERRUPTED
    show(verdict, options.out, lambda name: whole.scenario(Choice(name)), Console(width=140))
    found = {cell.verdict for cell in verdict.cells}
    return 1 if "fail" in found else 3 if "unknown" in found else 0


if __name__ == "__main__":
    sys.exit(main())
