"""`lockstep staircase`: small models trained for real with every combination of fixes, and what each fix is worth."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import experiments, running
from harness.commands.confined import PassEnv, Sandboxed, confinement
from harness.commands.disk import warn_if_large
from harness.commands.options import Environments, Timeout
from harness.commands.output import warn
from harness.commands.stop import UNKNOWN, Stop

if TYPE_CHECKING:
    from harness.environments.request import Request
    from harness.session.plan import Confinement
    from harness.staircase.arms import Arm, Fix
    from harness.staircase.effective import Effective
    from harness.staircase.planned import Training, Trainings
    from harness.staircase.record import Staircase, TrainingRecord
    from harness.staircase.trainings import Size
    from harness.verdicts.verdict import CellRecord

FIRST, WHOLE = "first", "trained"
"""Folders of the two runs, in the one of the command."""
PAGE, HTML = "staircase.md", "staircase.html"
MOST_SEEDS, LEAST_STEPS, MOST_STEPS = 20, 8, 1000
WRONG = "wrong"
"""What is said of arms in whose first steps something is: most are meant to be so."""
AGAIN = "the same command goes on with it"


def staircase(
    framework: Annotated[
        str, typer.Option("--framework", metavar="NAME[==V][,DEP==V...]", help="Release that is trained with fixes.")
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of the trainings. The same command goes on where it was stopped."),
    ],
    fixes: Annotated[
        list[str] | None,
        typer.Option(
            "--fix",
            metavar="NAME|FILE|PACKAGE==V",
            help="A fix that `lockstep list fixes` names, a patch of yours, or a mended release of a package; may be "
            "repeated. The release is trained with every combination.",
        ),
    ] = None,
    faults: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="NAME",
            help="Fault that is planted in the torch reference, and left out as a fix; may be repeated.",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="NAME[==V][,DEP==V...]", help="Independent framework beside it; may be repeated."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_SEEDS,
            metavar="N",
            help="Train each arm with seeds 0 to N-1. Default: 3, and 1 with --quick.",
            show_default=False,
        ),
    ] = None,
    hyper: Annotated[
        list[str] | None,
        typer.Option(
            metavar="lr=X,batch=ROWS,schedule=NAME",
            help="Arm with all fixes and other hyperparameters; may be repeated.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer steps, fewer problems, and one seed if no other number is given.")
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(
            min=LEAST_STEPS, max=MOST_STEPS, metavar="N", help="Optimizer steps of a training.", show_default=False
        ),
    ] = None,
    offload: Annotated[
        bool, typer.Option("--offload/--no-offload", help="Whether the release offloads its optimizer, if it can.")
    ] = True,
    jobs: experiments.Trainings = None,
    timeout: Timeout = 3600.0,
    envs: Environments = None,
    pass_env: PassEnv = None,
    sandbox: Sandboxed = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print staircase.json on stdout, and nothing else.")] = False,
) -> None:
    """Train a small model with every combination of fixes, and tell how much of the gap each fix explains.

    Exit status: 0 all arms are trained and are what they are called, 1 an arm is not, or hyperparameters differ,
    2 wrong usage, 3 something is unknown.
    """
    from harness.environments.request import parse
    from harness.session.folder import own_place
    from harness.site.current import current
    from harness.staircase import planned
    from harness.staircase.arms import arms, hyperparameters
    from harness.staircase.record import FILE

    size = _size(quick, steps)
    own = current().own
    request = own(parse(framework)).resolved()
    made = arms(
        request,
        _fixes(request, fixes or [], faults or []),
        [own(parse(text)).resolved() for text in against or []],
        [hyperparameters(said, size) for said in hyper or []],
        offload,
    )
    confined = confinement(pass_env, sandbox)
    at_once = jobs or os.cpu_count() or 1  # a training has one rank
    with own_place(out, "staircase", "staircase", frozenset({FILE, FIRST, WHOLE})):
        first = planned.every(made, [0], size)
        cells, effective = _weighed(first, out / FIRST, at_once, timeout, confined, envs)
        chosen = [arm for arm in made if not _refused(arm, made, {one.arm: cell for one, cell in cells.items()})]
        whole = planned.every(chosen, range(seeds or (1 if quick else 3)), size)
        records = _trained(whole, out / WHOLE, at_once, timeout, confined, envs)
        told = _told(whole, records, effective)
        _write(told, out)
        warn_if_large(envs)
        _report(told, out, as_json)


def _size(quick: bool, steps: int | None) -> Size:
    from dataclasses import replace

    from harness.staircase.trainings import FULL, QUICK

    size = QUICK if quick else FULL
    return size if steps is None else replace(size, steps=steps)


def _fixes(request: Request, fixes: Sequence[str], faults: Sequence[str]) -> list[Fix]:
    from harness.commands import planted
    from harness.staircase.arms import fix
    from harness.staircase.arms import planted as left_out

    if fixes and faults:
        raise Stop("--fault is planted in the reference, which has nothing to fix; give --fix or --fault")
    if not fixes and not faults:
        raise Stop("nothing is fixed, so that nothing can be told; give --fix or, with --framework torch, --fault")
    for fault in faults:
        planted.check(fault, [request])
    return [*(fix(said, request) for said in fixes), *(left_out(fault) for fault in faults)]


def _weighed(
    first: Trainings, folder: Path, jobs: int, timeout: float, confined: Confinement, envs: Path | None
) -> tuple[Mapping[Training, CellRecord], Mapping[str, Effective]]:
    """The first steps of every arm, before anything is trained, and the hyperparameters of those that have the same."""
    from harness.session.folder import RunFolder
    from harness.staircase import effective, parts

    plan = first.plan("first", jobs, timeout, confined)
    with RunFolder.claim(folder, resume=True) as run:
        verdict = running.verdict(
            plan, run, envs, (), AGAIN, kept=False, failing=WRONG, changed=lambda own: parts.weighing(own, first)
        )
    cells = first.cells(plan, verdict)
    alike = {one.arm.label: cell for one, cell in cells.items() if one.arm.hyper is None}
    found = {label: effective.of(folder / cell.trace, cell) for label, cell in alike.items() if cell.trace}
    known = {label: one for label, one in found.items() if one is not None}
    for difference in effective.differences(known):
        warn(
            f"{difference.arm} trains with another {difference.what}: {difference.has}, where {difference.reference}"
            f" has {difference.wanted}"
        )
    return cells, known


def _refused(arm: Arm, every: Sequence[Arm], cells: Mapping[Arm, CellRecord]) -> bool:
    """Of other hyperparameters, only the first release that can have them is trained."""
    if arm.hyper is None:
        return False
    alike = [other for other in every if other.hyper == arm.hyper]
    able = [other for other in alike if cells[other].verdict != "unsupported"]
    return arm != (able or alike)[0]


def _trained(
    whole: Trainings, folder: Path, jobs: int, timeout: float, confined: Confinement, envs: Path | None
) -> Mapping[Training, TrainingRecord]:
    from harness.commands.steps_left import StepsLeft
    from harness.session.folder import RunFolder
    from harness.staircase import parts
    from harness.staircase.results import training_record

    plan = whole.plan("whole", jobs, timeout, confined)
    with RunFolder.claim(folder, resume=True) as run:
        pace = StepsLeft(folder, plan.cells, whole.steps)
        verdict = running.verdict(
            plan,
            run,
            envs,
            (),
            AGAIN,
            kept=False,
            tally=pace.tally,
            failing=WRONG,
            changed=lambda own: parts.training(own, whole),
        )
    cells = whole.cells(plan, verdict)
    return {one: training_record(one, cell, folder, whole.size.held_out) for one, cell in cells.items()}


def _told(
    whole: Trainings, records: Mapping[Training, TrainingRecord], effective: Mapping[str, Effective]
) -> Staircase:
    from harness.staircase.effective import differences
    from harness.staircase.results import staircase as results

    command = shlex.join(["lockstep", *sys.argv[1:]])
    alike = next(iter(effective.values())).told if effective else ()
    return results(whole, records, alike, differences(effective), command)


def _write(told: Staircase, out: Path) -> None:
    """staircase.json, and its pages."""
    from harness.staircase import record
    from reports.html import staircase as html
    from reports.staircase import markdown

    pages = {PAGE: markdown.page(told), HTML: html.page(told)}
    experiments.write(out, lambda folder: record.write(told, folder), pages)


def _report(told: Staircase, out: Path, as_json: bool) -> None:
    from harness.staircase.record import FILE
    from reports.staircase import terminal

    experiments.report(out / FILE, out / HTML, as_json, lambda console: terminal.show(told, console))
    raise typer.Exit(_status(told))


def _status(told: Staircase) -> int:
    if told.differences or any(arm.as_labelled is False for arm in told.arms):
        return 1
    states = {training.state for arm in told.arms for training in arm.trainings}
    return UNKNOWN if told.missing or states - {"trained"} else 0
