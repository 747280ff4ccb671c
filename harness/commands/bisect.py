"""`lockstep bisect`: since which release, package or commit something is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import machines, on_cluster
from harness.commands.confined import PassEnv, Sandboxed, confinement
from harness.commands.disk import warn_if_large
from harness.commands.options import Environments, Jobs, Timeout
from harness.commands.output import console, json, say
from harness.commands.stop import INTERRUPTED, UNKNOWN, Stop, in_one_line, terminable
from harness.commands.typed import command

if TYPE_CHECKING:
    from harness.bisection.inquiry import Inquiry
    from harness.bisection.question import Question
    from harness.bisection.record import Bisection
    from harness.session.plan import Confinement, Plan

ABORT = 128
"""Exit status from which on `git bisect run` stops instead of calling a commit bad."""
STEP = "--step"
SKIP = 125
"""What tells it that nothing can be said of a commit."""


@on_cluster.with_options
def bisect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME[==V][,DEP==V...]",
            help="A framework; with its release for --vary and --repo.",
            show_default=False,
        ),
    ],
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario", metavar="NAME[@SEED]|FILE.toml", help="The one scenario to run.", show_default=False
        ),
    ],
    vary: Annotated[
        str | None, typer.Option("--vary", metavar="PACKAGE", help="Bisect over a package under that one release.")
    ] = None,
    by_date: Annotated[
        bool, typer.Option("--by-date", help="Two dates, everything as of each; then package by package between them.")
    ] = False,
    repo: Annotated[
        Path | None, typer.Option("--repo", metavar="PATH", help="Bisect over commits of a local clone.")
    ] = None,
    good: Annotated[str | None, typer.Option(metavar="REV", help="Oldest commit. Default: the last tag.")] = None,
    bad: Annotated[str | None, typer.Option(metavar="REV", help="Newest commit. Default: HEAD.")] = None,
    step: Annotated[
        bool, typer.Option(STEP, help="Judge HEAD of --repo alone, for `git bisect run`: 0 good, 1 bad, 125 skip.")
    ] = False,
    first: Annotated[
        str | None, typer.Option("--from", metavar="V", help="Oldest release, or date.", show_default=False)
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="V", help="Newest release, or date.", show_default=False)
    ] = None,
    prereleases: Annotated[bool, typer.Option("--prereleases", help="Pre-releases too.")] = False,
    thorough: Annotated[bool, typer.Option("--all", help="Measure everything, infer nothing.")] = False,
    cause: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Look for causes that begin so alone, such as dropped-micro-batches."),
    ] = None,
    patch: Annotated[
        str | None, typer.Option("--patch", metavar="FILE", help="Run everything with this patch, as `run --patch`.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the result. Default: .runs/bisect-..., named for what is asked."),
    ] = None,
    jobs: Jobs = None,
    timeout: Timeout = 300.0,
    envs: Environments = None,
    pass_env: PassEnv = None,
    sandbox: Sandboxed = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print bisect.json on stdout, and nothing else.")] = False,
    cluster: on_cluster.Asked = on_cluster.NOTHING,
) -> None:
    """Find every change of outcome over releases, over a package underneath, over dates or over commits.

    What was measured before is taken from the history, so that the same command goes on where it was stopped.

    Exit status: 0 found out, 2 wrong usage, 3 nothing could be found out.
    """
    from harness.bisection.inquiry import Inquiry
    from harness.bisection.question import Question
    from harness.history.store import History, default_path

    question = Question(target, vary, by_date, repo, good, bad, first, last, prereleases, patch)
    with _ending(ABORT if step else 0):
        if step and (repo is None or good or bad or thorough or as_json):
            raise Stop("--step judges the commit that --repo is at: give --repo, and no --good, --bad, --all or --json")
        if repo is not None:
            on_cluster.only_shared(cluster, envs, "with --repo: only a build tells the version of a commit")
        plan = _plan(scenario, cluster.at_once(jobs), timeout, confinement(pass_env, sandbox))
        question.request()  # what is wrong with it is told before anything is written
        folder = out or Path(".runs") / _name(question, plan, cause)
        plan = machines.spread(replace(plan, allocation=on_cluster.allocation(cluster, folder, envs)))
        envs = on_cluster.shared(envs, plan.allocation)
        _check(folder)
        with _alone(folder):
            inquiry = Inquiry(question, plan, folder, History.open(default_path()), envs, cause, thorough, command())
            if step:
                raise typer.Exit(_step(inquiry))
            bisection = _search(inquiry)
            warn_if_large(envs)
            _report(bisection, folder, as_json)


@contextmanager
def _ending(status: int) -> Iterator[None]:
    """`status`: the least for whatever is wrong; `cli.call` sees to what nobody expected."""
    try:
        with in_one_line():
            yield
    except Stop as stop:
        raise Stop(str(stop), max(stop.status, status)) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other bisection writes to the folder meanwhile. Raises BadFolder."""
    from harness.environments import claims
    from harness.session.folder import BadFolder

    try:
        with claims.alone(folder, "bisection"):
            yield
    except claims.Taken as taken:
        what = f"another bisection is at work in {folder} ({taken})"
        raise BadFolder(what, "wait for it, or give another --out") from None


def _plan(scenario: str, jobs: int, timeout: float, confined: Confinement) -> Plan:
    """Raises BadPlan."""
    from harness.session.plan import BadPlan, Plan, choose

    choices = choose([scenario], 1)
    if len(choices) != 1:
        first = choices[0].label
        raise BadPlan(f"{scenario!r} matches {len(choices)} scenarios; a bisection runs one, such as {first}")
    return Plan((), choices, jobs, timeout, confinement=confined)


def _name(question: Question, plan: Plan, cause: str | None) -> str:
    """A folder's name that says what is bisected: the same question goes on in the same folder."""
    patch = Path(question.patch).stem if question.patch else None
    span = (question.first, question.last, question.good, question.bad)
    words = ("bisect", question.target, question.vary, question.kind, plan.choices[0].label, *span, cause, patch)
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", word) for word in words if word)


def _check(out: Path) -> None:
    """Raises BadFolder for what cannot hold a bisection."""
    from harness.bisection.record import FILE
    from harness.environments import claims
    from harness.session.folder import BadFolder

    if out.exists() and not out.is_dir():
        raise BadFolder(f"{out} is a file", "give a folder with --out")
    ours = any((out / name).exists() for name in (FILE, "runs", "pins", claims.FOLDER))
    if out.is_dir() and any(out.iterdir()) and not ours:
        raise BadFolder(f"{out} holds something other than a bisection", "choose a new or empty folder with --out")


def _search(inquiry: Inquiry) -> Bisection:
    from harness.bisection import inquiry as inquiries
    from harness.commands.pace import Pace
    from harness.commands.progress import Progress

    pace = Pace()
    try:
        with terminable(), Progress(pace.tally, console(stderr=True), brief=True) as progress:
            return inquiries.search(inquiry, progress, pace, progress.told)
    except KeyboardInterrupt:
        said = "interrupted; what was measured is kept, and the same command goes on from there"
        raise Stop(said, INTERRUPTED) from None


def _step(inquiry: Inquiry) -> int:
    """The exit status that `git bisect run` understands."""
    from harness.bisection import inquiry as inquiries
    from harness.commands.progress import Progress

    try:
        with terminable(), Progress(lambda done: f"{done}/1", console(stderr=True)) as progress:
            measured = inquiries.head(inquiry, progress, progress.told)
    except KeyboardInterrupt:
        raise Stop("interrupted", INTERRUPTED) from None
    said = "; ".join(measured.outcome.causes) or measured.reason or ""
    say(f"{measured.outcome.verdict}{': ' if said else ''}{said}")
    return {"pass": 0, "fail": 1}.get(measured.outcome.verdict, SKIP)


def _report(bisection: Bisection, folder: Path, as_json: bool) -> None:
    from harness import files
    from harness.bisection.record import FILE
    from reports.bisection import markdown, terminal, told

    page, issue = folder / "bisect.md", folder / "issue.md"
    files.replace(page, markdown.page(bisection))
    files.replace(issue, markdown.issue(bisection))
    if as_json:
        json((folder / FILE).read_text(encoding="utf-8"))
    else:
        terminal.show(bisection, console())
        say(f"the page: {page}; to paste into an issue: {issue}; for machines: {folder / FILE}")
    raise typer.Exit(0 if told.told(bisection) else UNKNOWN)
