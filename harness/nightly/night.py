"""A night from its plan to its tickets. What it is made of is handed in (`Parts`), so that it runs without frameworks.

Everything is written as it goes, and each step that is done already is passed over: a night that was killed goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.environments.request import Request
from harness.nightly import canaries, outbox, plan, record, space, tickets
from harness.nightly.newest import Lookup, watched
from harness.nightly.plan import Wish
from harness.nightly.record import BadNight, EventRecord, Night
from harness.nightly.tickets import Seen, Ticket
from harness.session.folder import RunFolder
from harness.session.plan import Plan, release
from harness.verdicts.verdict import CellRecord, Verdict
from harness.version import own_version

STALE = timedelta(hours=30)
"""A night that was killed longer ago is given up: the next one looks for releases anew. More than a day, so that one
that takes too long for a machine goes on by the next night's start."""

CANARIES, AGAIN = "canaries", "again"


@dataclass(frozen=True)
class Parts:
    """What a night works with."""

    look_up: Callable[[Sequence[str], bool], Lookup]
    """The newest releases of packages; with pre-releases or without."""
    underneath: Callable[[Request, bool], Request | None]
    """See `newest.underneath`."""
    run: Callable[[Plan, RunFolder, bool], Verdict]
    """One session; whether what is accepted counts."""
    render: outbox.Render
    """A ticket's page."""
    pages: Callable[[Path], str | None]
    """Makes a run's pages for a browser; says what went wrong with that."""
    report: Callable[[Ended], None]
    """Writes what else people read of a night, before it counts as finished."""
    now: Callable[[], datetime]


@dataclass(frozen=True)
class Ended:
    """A night that is over."""

    night: Night
    before: Night | None
    """The last one of the same wish that was finished before."""
    folder: Path
    verdict: Verdict
    tickets: dict[str, Ticket]
    removed: tuple[space.Item, ...] = ()


def hold(wish: Wish, home: Path, command: tuple[str, ...], parts: Parts) -> Ended:
    """One night in the folder `home`: a new one, or the one of the same wish that was stopped a short while ago.

    The caller sees to it that no other one goes on there. `command`: what is told of tickets; may be empty.
    Raises BadRequest, BadPlan, BadNight, BadOutbox, BadFolder, UnreadableVerdict, OSError, KeyboardInterrupt.
    """
    outbox.load(home)  # what is damaged is told before anything runs
    earlier = record.nights(home)
    before = record.last_finished(night for night in earlier if night.plan.compares(wish))
    night = _stopped(earlier, wish, parts.now()) or _begin(wish, home, before, parts)
    folder = home / record.NIGHTS / night.name
    guarded = _run(plan.of_canaries(night.plan, wish), folder / CANARIES, parts, accepting=False)
    whole = plan.whole(night.plan, wish)
    verdict = _run(whole, folder, parts)
    known = outbox.load(home)
    seen = _seen(night, verdict, known, whole, folder, parts)
    after = tickets.advance(known, seen)
    night = _measured(night, seen, guarded, known, after)
    record.write(night, home)  # before the tickets: what they rest on stays, though the night may be given up
    outbox.save([t for t in after.values() if t.night == night.name], home, parts.render)
    night = _told(night, after, command, home, tuple(filter(None, [parts.pages(folder)])), parts.now())
    ended = Ended(night, before, folder, verdict, after)
    parts.report(ended)
    record.write(ended.night, home)
    return ended


def _measured(night: Night, seen: Seen, guarded: Verdict, known: dict[str, Ticket], after: dict[str, Ticket]) -> Night:
    """The night with what was measured in it, and what that does to tickets."""
    return night.model_copy(
        update={
            "cells": tuple(map(record.seen, seen.cells)),
            "canaries": canaries.looked_after(night.plan.canaries, _by_release(guarded.cells)),
            "environments": _environments(seen.cells, guarded.cells),
            "events": events(after, night.name),
            "unconfirmed": tuple(f"{s.framework}: {s.cause}" for s in tickets.unconfirmed(known, seen)),
        }
    )


def _told(
    night: Night,
    after: dict[str, Ticket],
    command: tuple[str, ...],
    home: Path,
    problems: tuple[str, ...],
    now: datetime,
) -> Night:
    """The night at its end, with `problems` of its own; the user's command was told of the tickets."""
    failures = outbox.deliver(after, command, home) if command else []
    return night.model_copy(
        update={
            "finished": now.isoformat(timespec="seconds"),
            "problems": (*night.plan.problems, *failures, *problems),
            "untold": () if command else tuple(outbox.untold(after)),
        }
    )


def clear(ended: Ended, home: Path, envs: Path, limits: space.Limits, now: float) -> Ended:
    """Remove old nights and environments. Raises BadNight and OSError."""
    there = space.items(home, envs, record.nights(home), ended.tickets.values(), ended.night.name)
    return replace(ended, removed=tuple(space.remove(space.outdated(there, limits, now), home, envs)))


def _stopped(earlier: Sequence[Night], wish: Wish, now: datetime) -> Night | None:
    """The last night, if it is still to be gone on with."""
    last = earlier[-1] if earlier else None
    if last is None or last.finished or not last.plan.answers(wish):
        return None
    begun = datetime.strptime(last.name, record.NAME).replace(tzinfo=UTC)
    return last if now - begun < STALE else None


def _begin(wish: Wish, home: Path, before: Night | None, parts: Parts) -> Night:
    """A new night, whose plan is on disk before anything of it runs."""
    known = before.plan.newest if before else {}
    made = plan.make(
        wish,
        parts.look_up(watched(plan.frameworks(wish.only)), wish.prereleases),
        known,
        lambda request: parts.underneath(request, wish.prereleases),
    )
    night = Night(
        name=_unused(parts.now().strftime(record.NAME), home),
        lockstep=own_version(),
        plan=made,
        before=before.name if before else None,
        news=plan.news(made.newest, known),
    )
    with RunFolder.claim(home / record.NIGHTS / night.name):
        record.write(night, home)
    return night


def _unused(name: str, home: Path) -> str:
    """Raises BadNight."""
    if (home / record.NIGHTS / name).exists():
        raise BadNight(f"{home / record.NIGHTS / name} is there already: see that the clock is right, and try again")
    return name


def _run(whole: Plan, folder: Path, parts: Parts, accepting: bool = True) -> Verdict:
    """One session, which goes on with what is in its folder."""
    with RunFolder.claim(folder, resume=True) as claimed:
        return parts.run(whole, claimed, accepting)


def _seen(night: Night, verdict: Verdict, before: dict[str, Ticket], whole: Plan, folder: Path, parts: Parts) -> Seen:
    """What the night saw; what is new in it was run a second time."""
    seen = Seen(night.name, tuple(verdict.cells), unsettled=frozenset(night.plan.unsettled))
    new = tickets.to_confirm(before, verdict.cells, night.name)
    if not new:
        return seen
    cells = {(c.framework, c.version, c.label): None for sighting in new.values() for c in sighting.cells}
    again = plan.of_cells(whole, cells, lambda request: release(request, request.version or ""))
    return replace(seen, again=tuple(_run(again, folder / AGAIN, parts).cells))


def _by_release(cells: Sequence[CellRecord]) -> dict[tuple[str, str], CellRecord]:
    return {(f"{cell.framework}=={cell.version}", cell.label): cell for cell in cells}


def _environments(*cells: Sequence[CellRecord]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cell.environment for own in cells for cell in own if cell.environment))


def events(after: dict[str, Ticket], night: str) -> tuple[EventRecord, ...]:
    """What a night did to tickets, and those that are open though it did not show them."""
    return tuple(
        _event(t, t.night == night) for t in after.values() if t.state == "open" or (t.night == night and t.action)
    )


def _event(ticket: Ticket, tonight: bool) -> EventRecord:
    return EventRecord(
        fingerprint=ticket.fingerprint,
        title=ticket.title,
        action=ticket.action if tonight else None,
        measured=tonight,
        state=ticket.state,
        summary=ticket.summary,
        listed=ticket.listed,
        cells=tuple(f"{ticket.framework}=={place.version}/{place.scenario}" for place in ticket.places),
    )
