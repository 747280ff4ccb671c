"""`lockstep relate`: two scenarios that must give one update, run by one release and held against each other."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import planted, running
from harness.commands.confined import PassEnv, Sandboxed, confinement
from harness.commands.disk import warn_if_large
from harness.commands.options import Environments, Jobs, Timeout, at_once, scenarios
from harness.commands.output import console, json, say
from harness.commands.stop import UNKNOWN, Stop

if TYPE_CHECKING:
    from harness.relations.declared import Relation
    from harness.relations.record import Relations

SCENARIOS = ["sft-ragged"]
PAGE = "relations.md"


def relate(
    frameworks: Annotated[
        list[str],
        typer.Option(
            "--framework",
            metavar="NAME[==V][,DEP==V...]",
            help="Release whose runs are held against each other; may be repeated. Default: the newest.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the runs. The same command goes on where it was stopped.")
    ],
    names: Annotated[
        list[str] | None,
        typer.Option("--relation", metavar="NAME", help="Relation to hold it to; may be repeated. Default: all."),
    ] = None,
    patterns: Annotated[
        list[str] | None,
        scenarios("Scenarios that both sides are made of; may be repeated. Default: sft-ragged."),
    ] = None,
    fault: planted.Fault = None,
    jobs: Jobs = None,
    timeout: Timeout = 600.0,
    envs: Environments = None,
    pass_env: PassEnv = None,
    sandbox: Sandboxed = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print relations.json on stdout, and nothing else.")] = False,
) -> None:
    """Run two scenarios that must give the same update, and hold the two runs of each release against each other.

    Exit status: 0 every relation that applies holds, 1 one is broken, 2 wrong usage, 3 something is unknown.
    """
    from harness.environments.request import parse
    from harness.relations import pairs, planned
    from harness.relations.related import related
    from harness.session.folder import RunFolder
    from harness.session.plan import Plan, choose
    from harness.site.current import current

    requests = tuple(dict.fromkeys(current().own(parse(text)).resolved() for text in frameworks))
    planted.check(fault, requests)
    plan = Plan(
        requests=requests,
        choices=choose(patterns or SCENARIOS, 1),
        jobs=at_once(jobs),
        timeout=timeout,
        fault=fault,
        confinement=confinement(pass_env, sandbox),
    )
    found, silent = pairs.pairs(_relations(names), [choice.scenario for choice in plan.choices])
    plan = planned.planned(plan, found, out)
    with RunFolder.claim(out, resume=True) as folder:
        planned.write(found, out)
        verdict = running.verdict(plan, folder, envs, (), "the same command goes on with it", kept=False)
        told = related(plan, found, silent, verdict.cells, out, shlex.join(["lockstep", *sys.argv[1:]]))
        _write(told, out)
        warn_if_large(envs)
        _report(told, out, as_json)


def _relations(names: list[str] | None) -> list[Relation]:
    """Those of these names, in the order in which they are declared."""
    from harness.relations.declared import RELATIONS
    from harness.session.plan import meant

    known = [relation.name for relation in RELATIONS]
    for name in names or ():
        if name not in known:
            raise Stop(f"no relation is called {name!r}; {meant(name, known, most=1)}there are {', '.join(known)}")
    return [relation for relation in RELATIONS if names is None or relation.name in names]


def _write(told: Relations, out: Path) -> None:
    """relations.json, and the page of it."""
    from harness import files
    from harness.relations import record
    from reports.relations import markdown

    try:
        record.write(told, out)
        files.replace(out / PAGE, markdown.page(told))
    except OSError as error:
        raise Stop(f"{out} cannot be written any more: {error.strerror or error}", UNKNOWN) from None


def _report(told: Relations, out: Path, as_json: bool) -> None:
    from harness.relations.record import FILE
    from reports.relations import terminal

    if as_json:
        json((out / FILE).read_text(encoding="utf-8"))
    else:
        terminal.show(told, console())
        say(f"all of it: {out / FILE}")
        say(f"side by side: {out / PAGE}")
    raise typer.Exit(_status(told))


def _status(told: Relations) -> int:
    """Where nothing could be held against anything, nothing is known."""
    states = {pair.state for pair in told.pairs}
    if "broken" in states:
        return 1
    return UNKNOWN if "unknown" in states or "holds" not in states else 0
