"""`lockstep fuzz`: scenarios are drawn until a release is wrong, and what shows it is made small."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import on_cluster, planted
from harness.commands.confined import PassEnv, Sandboxed, confinement
from harness.commands.disk import warn_if_large
from harness.commands.options import MOST_SEED, Accepted, Environments, Jobs, Timeout, finite, folder
from harness.commands.output import console, json, say
from harness.commands.stop import INTERRUPTED, UNKNOWN, Stop, terminable

if TYPE_CHECKING:
    from harness.environments.request import Request
    from harness.fuzzing.cells import Cells
    from harness.fuzzing.record import Fuzz
    from harness.fuzzing.search import Search, Wish
    from harness.judging.accepted import Entry
    from harness.session.parts import Observer, Parts
    from harness.session.plan import Plan

CLAIM = "fuzz"
MOST_MINUTES = 7 * 24 * 60.0


@on_cluster.with_options
def fuzz(
    framework: Annotated[
        str,
        typer.Option(
            "--framework", metavar="NAME[==V][,DEP==V...]", help="Release to look for bugs in. Default: the newest."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of what is found. The same command goes on where it was stopped."),
    ],
    minutes: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=MOST_MINUTES,
            metavar="M",
            callback=finite,
            help="How long to search, over all the sessions that it takes; what was found by then is made small yet.",
        ),
    ] = 3.0,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, metavar="N", help="Draw other scenarios.")] = 0,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[==V][,DEP==V...]", help="Another release: only what it does not have as well is told."
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            callback=folder,
            help="Folder of scenarios that are run first, where each that is found is added, beside DIR/corpus.",
        ),
    ] = None,
    fault: planted.Fault = None,
    listed: Accepted = None,
    jobs: Jobs = None,
    timeout: Timeout = 120.0,
    envs: Environments = None,
    pass_env: PassEnv = None,
    sandbox: Sandboxed = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print fuzz.json on stdout, and nothing else.")] = False,
    cluster: on_cluster.Asked = on_cluster.NOTHING,
) -> None:
    """Draw scenarios, run them on a real release, and make each that fails in a way of its own as small as it can be.

    Exit status: 0 nothing but what is accepted, 1 something new was found, 2 wrong usage, 3 nothing could be judged.
    """
    from harness.fuzzing import search
    from harness.fuzzing.record import FILE, TRIED
    from harness.fuzzing.search import Wish
    from harness.judging import accepted
    from harness.session.folder import own_place
    from harness.session.plan import Plan

    request, other = _request(framework), _request(against) if against is not None else None
    planted.check(fault, [request])
    on_cluster.only_shared(cluster, envs, "which asks a framework here what it can express")
    if other == request:
        raise Stop("--against is for another release than --framework")
    wish = Wish(request, out, seed, minutes, other, fault, corpus, _command())
    plan = Plan(
        requests=(request,) if other is None else (request, other),
        choices=(),
        jobs=cluster.at_once(jobs),
        timeout=timeout,
        fault=fault,
        confinement=confinement(pass_env, sandbox),
        allocation=on_cluster.allocation(cluster, out, spread=False),
    )
    entries = accepted.load(listed or accepted.FILE) if fault is None else ()
    with own_place(out, CLAIM, "fuzz", frozenset({FILE, TRIED})):
        _corpus(corpus)
        earlier = search.asked(wish)
        done = earlier is not None and earlier.complete and earlier.minutes >= minutes
        found = earlier if earlier is not None and done else _searched(wish, plan, entries, envs)
        warn_if_large(envs)
        _report(found, out, as_json)


def _request(text: str) -> Request:
    """Raises BadRequest."""
    from harness.environments.request import parse
    from harness.site.current import current

    return current().own(parse(text)).resolved()


def _command() -> str:
    return shlex.join(["lockstep", *sys.argv[1:]])


def _corpus(corpus: Path | None) -> None:
    """What cannot be written is told before the search. Raises BadFolder."""
    from harness.session.folder import BadFolder

    if corpus is None:
        return
    try:
        corpus.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFolder(f"{corpus} cannot be written ({error.strerror})", "choose another --corpus") from None


def _searched(wish: Wish, plan: Plan, entries: tuple[Entry, ...], envs: Path | None) -> Fuzz:
    from harness.commands.progress import Progress
    from harness.fuzzing.search import Search
    from harness.session import real
    from reports.fuzzing import markdown

    pace = _Pace(wish.minutes)
    try:
        with terminable(), Progress(pace.tally, console(stderr=True)) as progress:
            parts = real.parts(plan, envs, entries, progress.warn)
            with ExitStack() as held:
                held.callback(parts.stop)
                cells = held.enter_context(_cells(wish.request, "cells", wish, plan, parts, progress))
                other = (
                    held.enter_context(_cells(wish.against, "against", wish, plan, parts, progress))
                    if wish.against is not None
                    else None
                )
                search = Search(wish, cells, other, entries, progress, markdown.issue)
                pace.search = search
                return search.run()
    except KeyboardInterrupt:
        said = f"interrupted; what was found is in {wish.folder}, and the same command goes on from there"
        raise Stop(said, INTERRUPTED) from None
    except OSError as error:
        raise Stop(f"{wish.folder} cannot be written any more: {error.strerror or error}", UNKNOWN) from None


@contextmanager
def _cells(request: Request, name: str, wish: Wish, plan: Plan, parts: Parts, progress: Observer) -> Iterator[Cells]:
    """Cells of a release, started. Raises BuildFailed, BadRequest, and Stop where it does not start."""
    from harness.fuzzing.cells import Cells
    from harness.launch.cluster.queued import ClusterFailed
    from harness.launch.template import TemplateFailed

    with Cells(request, parts, wish.work / name, progress, plan.running, plan.timeout, plan.fault) as cells:
        try:
            cells.start()
        except (ClusterFailed, TemplateFailed) as error:
            raise Stop(f"{request} does not start: {error}", UNKNOWN) from None
        yield cells


class _Pace:
    """How far a fuzz is, for `commands.progress`."""

    def __init__(self, minutes: float) -> None:
        self.search: Search | None = None
        self._minutes = minutes
        self._begun = time.monotonic()

    def tally(self, done: int) -> str:
        """`done`: cells of this session."""
        from harness.commands.pace import spoken

        search = self.search
        if search is None:
            return f"{done} cells"
        left = max(0.0, self._minutes * 60 - search.seconds)
        return f"{done} cells, {len(search.so_far.causes)} causes, {spoken(left)} left"


def _report(found: Fuzz, out: Path, as_json: bool) -> None:
    from harness.fuzzing.record import FILE
    from reports.fuzzing import terminal

    if as_json:
        json((out / FILE).read_text(encoding="utf-8"))
    else:
        terminal.show(found, console())
        say(f"all of it: {out / FILE}")
    raise typer.Exit(_status(found))


def _status(found: Fuzz) -> int:
    if any(cause.accepted is None for cause in found.causes):
        return 1
    return 0 if {"pass", "fail"} & {verdict for verdict, count in found.verdicts.items() if count} else UNKNOWN
