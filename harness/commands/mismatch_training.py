"""`lockstep mismatch-training`: policies trained on exact rollouts into which a mismatch is put back."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import experiments
from harness.commands.output import console
from harness.commands.pace import left
from harness.commands.stop import INTERRUPTED, UNKNOWN, Stop, terminable

if TYPE_CHECKING:
    from harness.commands.progress import Progress
    from harness.policy.record import Experiment
    from harness.policy.training import Run

PAGE, HTML = "mismatch-training.md", "mismatch-training.html"
CLAIM = "mismatch-training"
SEEDS, QUICK_SEEDS, MOST_SEEDS = 5, 3, 20
LEAST_STEPS, MOST_STEPS = 10, 2000


def mismatch_training(
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of the trainings. The same command goes on where it was stopped."),
    ],
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_SEEDS,
            metavar="N",
            help=f"Train each arm with seeds 0 to N-1. Default: {SEEDS}, and {QUICK_SEEDS} with --quick.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer steps, and of each kind the largest mismatch alone.")
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(min=LEAST_STEPS, max=MOST_STEPS, metavar="N", help="Steps of a training.", show_default=False),
    ] = None,
    jobs: experiments.Trainings = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print mismatch-training.json on stdout, and nothing else.")
    ] = False,
) -> None:
    """Train a small policy with mismatches of chosen kinds and sizes, and tell what they and their corrections do.

    Exit status: 0 everything was trained, 2 wrong usage, 3 something is missing.
    """
    from harness.policy import runs
    from harness.policy.record import FILE
    from harness.session.folder import own_place

    size = runs.QUICK if quick else runs.FULL
    size = size if steps is None else replace(size, steps=steps)
    every = runs.every(size, range(seeds or (QUICK_SEEDS if quick else SEEDS)), quick)
    with own_place(out, CLAIM, "mismatch training", frozenset({FILE, runs.FOLDER})):
        found = _trained(every, out, jobs or os.cpu_count() or 1)
        _write(found, out)
        _report(found, out, as_json)


def _trained(every: Sequence[Run], out: Path, jobs: int) -> Experiment:
    from harness.commands.progress import Progress
    from harness.policy import results, running, runs

    made = runs.made(out, every)
    counted = _Counted(out, [run for run in every if run not in made], len(every))
    try:
        with terminable(), Progress(counted.tally, console(stderr=True)) as progress:
            broken = running.make(counted.wanted, out, jobs, lambda: counted.look(progress))
    except KeyboardInterrupt:
        raise Stop("interrupted; the same command goes on with it", INTERRUPTED) from None
    except OSError as error:
        raise Stop(f"{out} cannot be written any more: {error.strerror or error}", UNKNOWN) from None
    return results.experiment(every, runs.made(out, every), broken, shlex.join(["lockstep", *sys.argv[1:]]))


class _Counted:
    """Trainings that are done, by their files."""

    def __init__(self, out: Path, wanted: Sequence[Run], every: int) -> None:
        """wanted: those that are missing, of so many."""
        from harness.policy.runs import path

        self.wanted = wanted
        self._waiting = {path(out, run): run for run in wanted}
        self._every, self._begun = every, time.monotonic()

    def look(self, progress: Progress) -> None:
        """Tell of each that has come to its end since."""
        for path in [path for path in self._waiting if path.exists()]:
            run = self._waiting.pop(path)
            progress.told(f"[{self.tally()}] {run.mismatch.label}, {run.correction}, seed {run.seed}")

    def tally(self, _: int = 0) -> str:
        waiting = len(self._waiting)
        time_left = left(time.monotonic() - self._begun, len(self.wanted) - waiting, waiting)
        return f"{self._every - waiting}/{self._every} trainings{time_left}"


def _write(found: Experiment, out: Path) -> None:
    """mismatch-training.json, and its pages."""
    from harness.policy import record
    from reports.html import policy as html
    from reports.policy import markdown

    pages = {PAGE: markdown.page(found), HTML: html.page(found)}
    experiments.write(out, lambda folder: record.write(found, folder), pages)


def _report(found: Experiment, out: Path, as_json: bool) -> None:
    from harness.policy.record import FILE
    from reports.policy import terminal

    experiments.report(out / FILE, out / HTML, as_json, lambda console: terminal.show(found, console))
    raise typer.Exit(UNKNOWN if found.missing else 0)
