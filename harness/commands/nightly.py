"""`lockstep nightly`: the newest releases and the canaries, every night; what is found is told once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import on_cluster
from harness.commands.confined import PassEnv, Sandboxed, confinement
from harness.commands.options import MOST_DAYS, MOST_GIB, Accepted, Environments, Jobs, Timeout, finite
from harness.commands.output import console, say, warn
from harness.commands.stop import INTERRUPTED, UNKNOWN, Stop, terminable

if TYPE_CHECKING:
    from harness.judging.accepted import Entry
    from harness.nightly.canaries import Canary
    from harness.nightly.night import Ended
    from harness.nightly.plan import Wish
    from harness.nightly.space import Limits

GIB = 2**30
CLAIM = "night"


@on_cluster.with_options
def nightly(
    home: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Folder of the nights and of the outbox.")] = Path(
        ".lockstep/nightly"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="FRAMEWORK[==V]", help="Only this framework, or this release; repeatable."),
    ] = None,
    pre: Annotated[bool, typer.Option("--pre", help="Pre-releases too, of frameworks and of what lies under.")] = False,
    patterns: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario", metavar="GLOB|FILE.toml", help="Scenarios by shell pattern, or files. Default: all."
        ),
    ] = None,
    jobs: Jobs = None,
    timeout: Timeout = 300.0,
    listed: Accepted = None,
    canaries: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Releases with known bugs, as TOML. Default: those that come with Lockstep."),
    ] = None,
    ticket_command: Annotated[
        str | None,
        typer.Option(
            metavar="CMD", help="Called with an action (open, update, flaky, close) and a ticket's page, without shell."
        ),
    ] = None,
    tickets_only: Annotated[
        bool,
        typer.Option(
            "--tickets-only",
            help="Hold no night: tell --ticket-command what it was not told yet, and end.",
        ),
    ] = False,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Add the night's page, in Markdown, to this file.")
    ] = None,
    keep_days: Annotated[
        float,
        typer.Option(
            min=1,
            max=MOST_DAYS,
            metavar="DAYS",
            callback=finite,
            help="Remove traces and environments unused for so long.",
        ),
    ] = 30.0,
    keep_gib: Annotated[
        float,
        typer.Option(
            min=0,
            max=MOST_GIB,
            metavar="GIB",
            callback=finite,
            help="Most disk that traces and environments of nights may take.",
        ),
    ] = 100.0,
    envs: Environments = None,
    pass_env: PassEnv = None,
    sandbox: Sandboxed = False,
    cluster: on_cluster.Asked = on_cluster.NOTHING,
) -> None:
    """Run the newest releases and the canaries, confirm what is new, and keep one ticket for each finding.

    A night that was stopped goes on by the same command.

    Exit status: 0 all right, 1 a confirmed divergence, 2 wrong usage, 3 a canary was not found, or something is not
    known.
    """
    from harness.nightly.plan import Wish
    from harness.nightly.space import Limits

    with _resumable(home):
        if tickets_only:
            raise typer.Exit(_tell(home, _command(ticket_command)))
        wish = Wish(
            only=tuple(dict.fromkeys(only or [])),
            prereleases=pre,
            patterns=tuple(patterns or ["*"]),
            canaries=_canaries(canaries),
            jobs=cluster.at_once(jobs),
            timeout=timeout,
            confinement=confinement(pass_env, sandbox),
            allocation=on_cluster.allocation(cluster, home, envs, spread=False),
        )
        envs = on_cluster.shared(envs, wish.allocation)
        _check(wish)
        command = _command(ticket_command)
        entries = _accepted(listed)
        _writable(summary)
        with _alone(home):
            ended = _hold(wish, home, command, entries, envs)
            _show(ended)
            with _afterwards(ended):
                _tidy(ended, home, envs, Limits(keep_days, keep_gib * GIB))
                _append(ended, summary)
        raise typer.Exit(ended.night.status)


@contextmanager
def _resumable(home: Path) -> Iterator[None]:
    """What keeps a night from going on is told with how it goes on, instead of the advice for a run."""
    from harness.session.folder import BadFolder

    try:
        yield
    except BadFolder as error:
        raise Stop(f"{error.what}; mend that, and the night goes on", UNKNOWN) from None
    except OSError as error:
        said = f"{error.filename or home} cannot be used: {error.strerror or error}; mend that, and the night goes on"
        raise Stop(said, UNKNOWN) from None


def _check(wish: Wish) -> None:
    """What is wrong with it is told before anything is written. Raises BadRequest and BadPlan."""
    from harness.nightly.plan import limits
    from harness.session.plan import choose

    limits(wish.only)
    choose(wish.patterns, 1)


def _canaries(path: Path | None) -> tuple[Canary, ...]:
    from harness.nightly import canaries

    return canaries.load(path or canaries.FILE)


def _writable(summary: Path | None) -> None:
    """A page that cannot be added anywhere is told before the night, rather than after it."""
    if summary is None:
        return
    try:
        with summary.open("a"):
            pass
    except OSError as error:
        raise Stop(f"--summary {summary} cannot be written ({error.strerror}); give a file that can be") from None


def _accepted(path: Path | None) -> tuple[Entry, ...]:
    from harness.judging import accepted

    return accepted.load(path or accepted.FILE)


def _command(text: str | None) -> tuple[str, ...]:
    from harness.nightly import outbox

    return () if text is None else outbox.command(text)


def _tell(home: Path, command: tuple[str, ...]) -> int:
    """Tell the command of the tickets that earlier nights left for it; the exit status. Raises BadOutbox, OSError."""
    from harness.nightly import outbox

    if not command:
        raise Stop("--tickets-only tells a command of tickets; give it with --ticket-command")
    if not home.is_dir():
        raise Stop(f"{home} holds no nights; give their folder with --dir")
    with _alone(home):
        problems = outbox.deliver(outbox.load(home), command, home)
    for problem in problems:
        warn(problem)
    return UNKNOWN if problems else 0


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """No other night goes on in the folder meanwhile."""
    from harness.environments import claims

    if home.exists() and not home.is_dir():
        raise Stop(f"{home} is a file; give a folder with --dir")
    try:
        with claims.alone(home, CLAIM):
            yield
    except claims.Taken as taken:
        raise Stop(f"another night goes on in {home} ({taken}); wait for it, or give another --dir") from None


def _hold(wish: Wish, home: Path, command: tuple[str, ...], entries: tuple[Entry, ...], envs: Path | None) -> Ended:
    from harness.commands.progress import Progress
    from harness.nightly import night, real
    from reports.nightly import markdown

    try:
        count = _Count()
        with terminable(), Progress(count.tally, console(stderr=True)) as progress:
            faces = real.Faces(markdown.ticket, _pages, _page)
            return night.hold(wish, home, command, real.parts(envs, entries, faces, progress, count.planned))
    except KeyboardInterrupt:
        raise Stop("interrupted; the same command goes on with this night", INTERRUPTED) from None


class _Count:
    """How far a night is: it knows its cells session by session."""

    def __init__(self) -> None:
        self._planned = 0

    def planned(self, cells: int) -> None:
        self._planned += cells

    def tally(self, done: int) -> str:
        return f"{done}/{self._planned}"


def _pages(folder: Path) -> str | None:
    from harness.commands.pages import write_pages

    made = write_pages(folder) is not None  # which has told why not
    return None if made else f"there are no pages for a browser; `lockstep report {folder}` tries again"


def _page(ended: Ended) -> None:
    """Write `night.md`. Raises OSError."""
    from harness import files
    from harness.nightly.record import PAGE
    from reports.nightly import markdown

    files.replace(ended.folder / PAGE, markdown.night(ended.night, ended.before))


def _show(ended: Ended) -> None:
    from reports.nightly import terminal

    terminal.show(ended.night, str(ended.folder), console())


@contextmanager
def _afterwards(ended: Ended) -> Iterator[None]:
    """The night is done: what goes wrong from now on is told, and does not hide what it found."""
    try:
        with terminable():
            yield
    except OSError as error:
        what = f"{error.filename or ended.folder} cannot be used: {error.strerror or error}"
        said = f"{what}; the night is done all the same, and the next one tidies up"
        raise Stop(said, ended.night.status or UNKNOWN) from None
    except KeyboardInterrupt:
        raise Stop("interrupted; the night is done, and the next one tidies up", INTERRUPTED) from None


def _tidy(ended: Ended, home: Path, envs: Path | None, limits: Limits) -> None:
    """Remove what is old. Raises BadNight and OSError."""
    import time

    from harness.environments import store
    from harness.nightly import night

    cleared = night.clear(ended, home, (envs or store.default_root()).absolute(), limits, time.time())
    if cleared.removed:
        say(f"removed to keep the disk free: {len(cleared.removed)} old nights and environments")


def _append(ended: Ended, summary: Path | None) -> None:
    """Add the night's page to a file. Raises OSError."""
    from harness.nightly.record import PAGE

    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write((ended.folder / PAGE).read_text(encoding="utf-8"))
