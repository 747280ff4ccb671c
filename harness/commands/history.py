"""`lockstep history`: what was measured so far."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness import printable
from harness.commands.output import document, say
from harness.commands.stop import UNKNOWN, Stop

if TYPE_CHECKING:
    from harness.history.store import Measurement

STDOUT = Path("-")
NEWEST = 50
HEADINGS = ("measured (UTC)", "release", "scenario", "verdict", "causes")


def history(
    framework: Annotated[
        str | None, typer.Argument(metavar="[FRAMEWORK]", help="Outcomes of this framework alone.", show_default=False)
    ] = None,
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="GLOB", help="Outcomes on scenarios that match a shell pattern.")
    ] = "*",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"Show the newest N. Default: {NEWEST}.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write a page: all outcomes by release, and what changed when. - is stdout.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show outcomes of earlier runs, newest first; kept in $LOCKSTEP_HISTORY, or .lockstep/history.sqlite."""
    if html is not None and as_json:
        raise Stop("--html and --json are two ways to tell it; leave one of them out")
    if html is not None and limit is not None:
        raise Stop("--html tells all that is kept; leave out --limit, or name a framework or --scenario")
    kept = _kept(None if framework is None else _framework(framework))
    found = [m for m in reversed(kept) if _fits(m, scenario)]
    shown = limit or NEWEST
    if html is not None:
        _page(found, html)
    elif as_json:
        document(json.dumps([{**m.model_dump(), "causes": m.causes} for m in found[:shown]], indent=1) + "\n")
    elif found:
        _show(found[:shown])
        if len(found) > shown:
            say(f"{len(found) - shown} older ones are not shown; --limit {len(found)} shows them all")
    else:
        of = "" if framework is None else f" of {framework}"
        on = "" if scenario == "*" else f" on {scenario}"
        say(f"no outcome{of}{on} is kept here; `lockstep run` adds what it measures")


def _page(found: Sequence[Measurement], out: Path) -> None:
    from harness import files
    from harness.history.changes import lines
    from reports.html import history

    page = history.page(lines(found))
    if out == STDOUT:
        document(f"{page}\n")
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write(out, page)
    except OSError as error:
        raise Stop(f"{out} cannot be written ({error.strerror}); give another --html") from None
    say(f"to look at: {out}")


def _framework(text: str) -> str:
    from harness.environments.request import Request, parse

    request = parse(text)
    if request != Request(request.framework):
        raise Stop(f"{text!r} is more than a framework's name; write {request.framework!r}")
    return request.framework


def _kept(framework: str | None) -> Sequence[Measurement]:
    from harness.history.store import History, default_path

    path = default_path()
    try:
        # Looking is no reason to make a file.
        return History.open(path).all(framework) if path.exists() else ()
    except OSError as error:
        raise Stop(f"{path} cannot be read ({error.strerror}): check its permissions", UNKNOWN) from None


def _fits(measurement: Measurement, glob: str) -> bool:
    """A pattern without a seed fits all seeds."""
    name = measurement.scenario.partition("@")[0]
    return any(fnmatch.fnmatchcase(text, glob) for text in (name, measurement.scenario))


def _show(found: Iterable[Measurement]) -> None:
    """A line each, however wide: names can be copied from it, and grep finds them."""
    told = ((_time(m), f"{m.framework}=={m.version}", m.scenario, m.verdict, _why(m)) for m in found)
    rows = [HEADINGS, *(tuple(map(printable.line, texts)) for texts in told)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _time(measurement: Measurement) -> str:
    return measurement.measured[:19].replace("T", " ")


def _why(measurement: Measurement) -> str:
    """Its causes, else why there is no verdict."""
    return "; ".join(measurement.causes) or (measurement.reason or "")
