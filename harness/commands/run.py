"""`lockstep run`: frameworks on scenarios, recorded and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import machines, on_cluster, planted, running
from harness.commands.confined import PassEnv, Sandboxed, confinement
from harness.commands.disk import warn_if_large
from harness.commands.options import (
    MOST_SEEDS,
    Accepted,
    Device,
    Environments,
    Jobs,
    OnDevice,
    Timeout,
    scenarios,
)
from harness.commands.output import console, json, say, warn
from harness.commands.stop import Stop
from harness.limits import MAX_RANKS

if TYPE_CHECKING:
    from harness.environments.patch import Patch
    from harness.environments.request import Request
    from harness.verdicts.verdict import Verdict


class Launcher(StrEnum):
    template = "template"
    torchrun = "torchrun"


class Matrix(StrEnum):
    smoke = "smoke"
    nightly = "nightly"
    full = "full"


@on_cluster.with_options
def run(
    frameworks: Annotated[
        list[str] | None,
        typer.Option(
            "--framework",
            metavar="NAME[==V][,DEP==V...]",
            help="Framework to run, or NAME@/path/to/python for an environment of yours; may be repeated. "
            "Default: every framework, newest releases.",
        ),
    ] = None,
    patches: Annotated[
        list[str] | None,
        typer.Option(
            "--patch",
            metavar="FILE|NAME",
            help="Run every --framework with a change of yours: a unified diff of its files, or a Python file whose "
            "apply() replaces functions. NAME: a fix that `lockstep list fixes` names. May be repeated.",
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="NAME[==V][,DEP==V...]", help="Framework beside the default ones; repeatable."),
    ] = None,
    patterns: Annotated[
        list[str] | None,
        scenarios("Scenarios by shell pattern, or one of yours in a file; may be repeated. Default: all."),
    ] = None,
    matrix: Annotated[
        Matrix | None,
        typer.Option(
            help="Run every framework's scenarios of a standard matrix, which hold each pair of values that it can "
            "express; of the named ones, those of --scenario.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the run; an older run in it is replaced. Default: .runs/ and the UTC time."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out: keep its cells that came to a verdict.")
    ] = False,
    jobs: Jobs = None,
    launcher: Annotated[
        Launcher | None,
        typer.Option(
            help="How ranks start: forked from a warm template, the default on a CPU, or cold by torchrun.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=MOST_SEEDS, metavar="N", help="Run each scenario with seeds 0 to N-1.")
    ] = 1,
    fault: planted.Fault = None,
    timeout: Timeout = 300.0,
    device: OnDevice = Device.cpu,
    ranks: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_RANKS, metavar="N", help="Data-parallel ranks. Default: the scenarios' own, 2."),
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Let torch take algorithms alone that give the same bits in every run; an operation that has none"
            " leaves its cell unknown.",
        ),
    ] = False,
    listed: Accepted = None,
    envs: Environments = None,
    pass_env: PassEnv = None,
    sandbox: Sandboxed = False,
    hosts: machines.Hosts = None,
    reach: machines.Reach = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON on stdout, and nothing else.")] = (
        False
    ),
    cluster: on_cluster.Asked = on_cluster.NOTHING,
) -> None:
    """Run scenarios through frameworks, judge every step, and report.

    Exit status: 0 all pass, 1 a divergence was found, 2 wrong usage, 3 something could not be judged.
    """
    from harness.judging import accepted
    from harness.session.folder import RunFolder, unused
    from harness.session.plan import Plan, choose, with_matrix

    if resume and out is None:
        raise Stop("--resume goes on with the run in a folder; name it with --out")
    patched = _requests(frameworks or _defaults(fault), _patches(patches or [], frameworks or []))
    named = machines.machines(hosts, reach, cluster)
    allocation = on_cluster.allocation(cluster, out, envs)
    envs = on_cluster.shared(envs, allocation)
    requests = tuple(dict.fromkeys([*patched, *_requests(also or [])]))
    planted.check(fault, requests)
    plan = Plan(
        requests=requests,
        choices=choose(patterns or ([] if matrix else ["*"]), seeds),
        jobs=cluster.at_once(jobs) if named is None else jobs or 1,
        timeout=timeout,
        device=device.value,
        launcher=(launcher or _LAUNCHERS[device]).value,
        machines=named,
        fault=fault,
        ranks=ranks,
        deterministic=deterministic,
        confinement=confinement(pass_env, sandbox),
        allocation=allocation,
    )
    plan = machines.spread(plan, launcher)
    plan = with_matrix(plan, matrix.value, seeds) if matrix else plan
    entries = accepted.load(listed or accepted.FILE) if fault is None else ()
    with RunFolder.claim(out or unused(Path(".runs")), resume) as folder:
        again = f"the same command with --out {folder.path} --resume goes on with it"
        verdict = running.verdict(plan, folder, envs, entries, again)
        if resume and folder.resumed:
            warn(folder.resumed)
        warn_if_large(envs)
        _report(verdict, folder.path, as_json)


_LAUNCHERS = {Device.cpu: Launcher.template, Device.cuda: Launcher.torchrun}


def _defaults(fault: str | None) -> list[str]:
    """Every framework there is a recipe for; a fault is planted in the reference alone."""
    from harness.environments import recipes

    return list(recipes.shipped().framework) if fault is None else ["torch"]


def _patches(given: Sequence[str], frameworks: Sequence[str]) -> tuple[Patch, ...]:
    from harness.environments.patch import load

    if given and not frameworks:
        raise Stop("--patch changes a framework that you name; add --framework NAME==VERSION")
    return tuple(load(one) for one in dict.fromkeys(given))


def _requests(texts: Sequence[str], patches: tuple[Patch, ...] = ()) -> tuple[Request, ...]:
    from harness.environments.request import parse
    from harness.site.current import current

    own = current().own
    return tuple(dict.fromkeys(own(replace(parse(text), patches=patches)).resolved() for text in texts))


def _report(verdict: Verdict, out: Path, as_json: bool) -> None:
    from harness.commands.pages import write_pages
    from harness.verdicts.verdict import FILE, exit_status

    pages = write_pages(out)
    if as_json:
        json((out / FILE).read_text(encoding="utf-8"))
    else:
        from reports import terminal

        terminal.show(verdict, str(out), console())
        say(f"all of it: {out / FILE}")
        if pages:
            say(f"to look at: {pages}")
    raise typer.Exit(exit_status(verdict.cells))
