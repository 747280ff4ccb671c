"""`lockstep stock`: every release as people got it on its day, and for how many days that was silently wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.confined import PassEnv, Sandboxed, confinement
from harness.commands.options import Environments, Timeout
from harness.commands.output import console, say
from harness.commands.stop import INTERRUPTED, UNKNOWN, Stop, terminable
from harness.limits import MOST_JOBS

if TYPE_CHECKING:
    from harness.session.plan import Plan
    from harness.stock.measure import Line, Wish
    from harness.stock.record import Stock

PAGE = "stock.md"
LARGEST = 16 * 2**20
"""Bytes of a page that the table is put into."""


def stock(
    frameworks: Annotated[
        list[str] | None,
        typer.Option("--framework", metavar="NAME", help="Only this framework; repeatable. Default: all."),
    ] = None,
    patterns: Annotated[
        list[str] | None,
        typer.Option("--scenario", metavar="GLOB", help="Scenarios by shell pattern. Default: three that show most."),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="DAY", help="Releases from this day on, and what was the newest before.")
    ] = "2024-09-01",
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="Last of the two years whose days are counted. Default: today.")
    ] = None,
    home: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Folder of what was measured.")] = Path(
        ".lockstep/stock"
    ),
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Run what is missing, or tell what there is.")
    ] = True,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Put the table into this Markdown file, between its two markers."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Most cells at once.")] = 1,
    timeout: Timeout = 300.0,
    envs: Environments = None,
    pass_env: PassEnv = None,
    sandbox: Sandboxed = False,
) -> None:
    """Run every release with what lay under it on its day, and count the days on which a stock install was wrong.

    Takes hours. The same command goes on where it was stopped; --no-measure tells what there is so far.
    """
    from harness.environments.releases import releases
    from harness.stock import measure as measuring

    wish = _wish(frameworks or [], patterns or [], since, until, jobs, timeout)
    wish = replace(wish, confinement=confinement(pass_env, sandbox))
    _markers(write)
    found = measuring.lines(wish, releases)
    with _writing(home), _alone(home):
        if measure:
            _run(measuring.due(wish, found, home), home, envs)
        _tell(wish, found, home, write)


def _wish(
    frameworks: Sequence[str], patterns: Sequence[str], since: str, until: str | None, jobs: int, timeout: float
) -> Wish:
    from harness.environments import recipes
    from harness.session.plan import choose
    from harness.stock.measure import LEFT_OUT, SCENARIOS, Wish
    from harness.stock.reigns import two_years

    named = [name for name in recipes.shipped().framework if name not in LEFT_OUT]
    if unknown := sorted(set(frameworks) - set(named)):
        raise Stop(f"{unknown[0]!r} has no releases to measure; there are {', '.join(named)}")
    last = _day(until) if until else dt.datetime.now(dt.UTC).date()
    choices = choose(patterns or SCENARIOS, 1)
    chosen = tuple(name for name in named if not frameworks or name in frameworks)
    return Wish(chosen, choices, two_years(last), _day(since), jobs, timeout)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Stop(f"{text!r} is no day; write it as 2025-12-31") from None


def _markers(page: Path | None) -> None:
    """A page that cannot take the table is told before hours of measuring, rather than after."""
    from harness import files
    from reports.stock import NoPlace, put

    if page is None:
        return
    try:
        put("", files.read_text(page, LARGEST))
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"--write {page} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    except NoPlace as error:
        raise Stop(f"--write {page}: {error}") from None


@contextmanager
def _writing(home: Path) -> Iterator[None]:
    from harness.session.folder import BadFolder

    try:
        with terminable():
            yield
    except KeyboardInterrupt:
        raise Stop("interrupted; the same command goes on with it", INTERRUPTED) from None
    except BadFolder as error:
        raise Stop(str(error), UNKNOWN) from None
    except OSError as error:
        raise Stop(f"{error.filename or home} cannot be used: {error.strerror or error}", UNKNOWN) from None


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """No other process measures there meanwhile, or writes what it found."""
    from harness.environments import claims

    try:
        with claims.alone(home, "stock"):
            yield
    except claims.Taken as taken:
        raise Stop(f"another lockstep stock goes on in {home} ({taken}); wait for it, or give another --dir") from None


def _run(plans: Sequence[Plan], home: Path, envs: Path | None) -> None:
    from harness.commands.progress import Progress
    from harness.session import real
    from harness.session.folder import RunFolder
    from harness.session.session import Session
    from harness.stock.measure import folder

    planned = sum(plan.cells for plan in plans)
    with Progress(lambda done: f"{done}/{planned}", console(stderr=True)) as progress:
        for plan in plans:
            with RunFolder.claim(folder(home, plan.requests[0]), resume=True) as place:
                Session(plan, place, real.parts(plan, envs, (), progress.warn), progress).run()


def _tell(wish: Wish, found: Sequence[Line], home: Path, page: Path | None) -> None:
    from harness import files
    from harness.stock import measure, record
    from reports import stock as report

    told: Stock = measure.collect(wish, found, home)
    home.mkdir(parents=True, exist_ok=True)
    record.write(told, home / record.FILE)
    files.replace(home / PAGE, report.page(told))
    if page is not None:
        files.write(page, report.put(report.table(told), page.read_text(encoding="utf-8")))
    for line in report.sentences(told):
        say(line)
    say(f"all of it: {home / record.FILE}\nto look at: {home / PAGE}")
