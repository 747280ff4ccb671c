"""A night and its tickets in Markdown. Whatever a framework or an installer wrote is escaped, and stays in its line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from harness import printable
from harness.nightly.canaries import CanaryRecord
from harness.nightly.record import EventRecord, Night
from harness.nightly.tickets import Ticket
from harness.nightly.trend import changes
from reports.markdown import code as quoted
from reports.markdown import escaped, table
from reports.nightly import told

_CELLS_SHOWN = 40
_CHANGES_SHOWN = 200
_LINE = 500


def ticket(found: Ticket) -> str:
    """The page of a ticket: what, where, since when, and the command that shows it."""
    parts = [
        f"# {short(found.title)}",
        f"**{told.STATES[found.state]}**, {short(told.life(found))}",
        short(found.summary),
        f"Evidence: {short(found.evidence)}" if found.evidence else "",
        f"Upstream: {short(found.upstream, linked=True)}" if found.upstream else "",
        f"Remedy: {short(found.remedy, linked=True)}" if found.remedy else "",
        "## Where",
        table(("release", "scenario"), _short([(f"{found.framework}=={p.version}", p.scenario) for p in found.places])),
        _unsteady(found.unsteady),
        f"Ever seen on: {', '.join(map(code, found.releases))}",
        "## See it",
        "\n".join(f"    {printable.line(command)}" for command in _commands(found)),
        f"What was recorded, from the folder that has this outbox: {code(_explain(found))}",
        f"Fingerprint {code(found.fingerprint)}: the same cause on the same framework is this ticket.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def night(now: Night, before: Night | None) -> str:
    """The page of a night: a sentence, then what wants a look, worst first."""
    parts = [
        f"# Night {short(now.name)}: {told.verdict(now)}",
        _listed(map(short, told.reasons(now))),
        *_events(now.events),
        *_changes(now, before),
        *_section("Released since the last night", (f"{short(k)} {short(v)}" for k, v in now.news.items())),
        "## What was run",
        _listed(map(code, now.plan.requests)),
        short(told.counted(now)),
        "## Canaries",
        table(("release", "scenario", "cause", "found"), _short(map(_canary, now.canaries))),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _canary(canary: CanaryRecord) -> tuple[str, ...]:
    return canary.release, canary.scenario, canary.cause, "yes" if canary.found else "NO"


def _explain(found: Ticket) -> str:
    place = found.places[0]
    cell = f"{found.framework}=={place.version}/{place.scenario}"
    return f"lockstep explain nights/{found.seen} {shlex.quote(cell)}"


def _commands(found: Ticket) -> list[str]:
    return [place.command for place in found.places if place.command][:3]


def _unsteady(cells: Sequence[str]) -> str:
    return f"In one run and not in the second: {', '.join(map(code, cells))}" if cells else ""


def _events(events: Sequence[EventRecord]) -> list[str]:
    found = []
    for state, heading in told.HEADINGS.items():
        found += _section(heading, (_event(event) for event in events if told.heading(event) == state))
    return found


def _event(event: EventRecord) -> str:
    return f"**{short(event.title)}** ({code(event.fingerprint)}): {short(event.summary)}{_where(event)}"


def _where(event: EventRecord) -> str:
    more = len(event.cells) - _CELLS_SHOWN
    shown = ", ".join(map(code, event.cells[:_CELLS_SHOWN]))
    mark = told.mark(event)
    return f"; {f'{mark}, last ' if mark else ''}on {shown}" + (f" and {more} more" if more > 0 else "")


def _changes(now: Night, before: Night | None) -> list[str]:
    found = changes(before.cells, now.cells) if before else []
    if not found:
        return []
    head = ("framework", "scenario", "was", "with", "is", "with")
    rows = [
        (c.framework, c.scenario, c.before.outcome, c.before.version, c.after.outcome, c.after.version) for c in found
    ]
    more = f"and {len(rows) - _CHANGES_SHOWN} more" if len(rows) > _CHANGES_SHOWN else ""
    return ["## Changed since the last night", table(head, _short(rows[:_CHANGES_SHOWN])), more]


def _section(heading: str, lines: Iterable[str]) -> list[str]:
    listed = _listed(lines)
    return [f"## {heading}", listed] if listed else []


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _short(rows: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """Cells of a table."""
    return (list(map(short, row)) for row in rows)


def short(text: str, linked: bool = False) -> str:
    """Text that Markdown and HTML read as nothing but itself, in one line of bounded length. `linked`: with links."""
    return escaped(printable.line(text, _LINE), linked)


def code(text: str) -> str:
    """The same as code."""
    return quoted(printable.line(text, _LINE))
