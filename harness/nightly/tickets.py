"""Tickets: one for each finding, whose life over nights is a pure function of what each night saw.

    (none) --seen twice--> open --absent for two nights--> closed --seen twice--> open
    (none) --seen, but not in the second run--> flaky --absent for two nights--> closed

A night that could not measure where it was seen last changes nothing, nor does one in which that fails without a
diagnosis: it may be there still.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.nightly.causes import Sighting, causes, family, is_underneath, own_version, sightings, tells
from harness.verdicts.verdict import CellRecord

ABSENT = 2
"""Nights without it after which a ticket is closed."""

State = Literal["open", "flaky", "closed"]
Action = Literal["open", "update", "flaky", "close"]
Again = Literal["confirmed", "gone", "unknown"]
"""What a second run from fresh processes says of a finding."""


class Place(BaseModel):
    """Where a finding was seen."""

    model_config = ConfigDict(frozen=True)

    version: str
    """As it stands in a cell."""
    scenario: str
    """Its label, with `@SEED` where the seed is not 0."""
    command: str | None = None


class Ticket(BaseModel):
    """One finding over nights; `outbox/FINGERPRINT.json`."""

    model_config = ConfigDict(frozen=True)

    schema_: Literal[1] = 1
    fingerprint: str
    framework: str
    cause: str
    state: State
    opened: str
    """The night that it was first seen, or seen again after it was closed."""
    seen: str
    """The night that it was seen last."""
    times: int
    """Nights in which it was seen."""
    missed: int = 0
    """Nights since, in which it was looked for and not seen."""
    closed: str | None = None
    """The night that closed it."""
    listed: bool = False
    """Closed though it is still there: it is listed as accepted."""
    places: Annotated[tuple[Place, ...], Field(min_length=1)]
    """Where it was seen last."""
    unsteady: tuple[str, ...] = ()
    """Cells that showed it in one run and not in the second."""
    releases: tuple[str, ...]
    """All that it was ever seen on, oldest night first."""
    summary: str
    evidence: str = ""
    upstream: str | None = None
    remedy: str | None = None
    night: str
    """The night that was taken into account last."""
    action: Action | None
    """What that night did to it."""
    pending: Action | None = None
    """What the user's command has yet to be told."""
    failed: bool = False
    """The command was told of that, and failed."""

    @property
    def title(self) -> str:
        return f"{self.framework}: {self.cause}"


@dataclass(frozen=True)
class Seen:
    """What one night saw."""

    night: str
    cells: tuple[CellRecord, ...]
    again: tuple[CellRecord, ...] = ()
    """The second run of what was new."""
    unsettled: frozenset[str] = frozenset()
    """Frameworks of which it is not known what was newest underneath."""


def to_confirm(tickets: Mapping[str, Ticket], cells: Iterable[CellRecord], night: str) -> dict[str, Sighting]:
    """What has no open ticket, and so is to be seen a second time before anything is told of it."""
    found = sightings(cells)
    return {name: s for name, s in found.items() if _is_new(tickets.get(name), night)}


def _is_new(ticket: Ticket | None, night: str) -> bool:
    return ticket is None or (ticket.state != "open" and ticket.night != night)


def advance(tickets: Mapping[str, Ticket], seen: Seen) -> dict[str, Ticket]:
    """The tickets after a night. A ticket that has that night already stays as it is."""
    found = sightings(seen.cells)
    result = dict(tickets)
    for name in {**tickets, **found}:
        after = _advanced(tickets.get(name), found.get(name), seen)
        if after is not None:
            result[name] = after
    return result


def unconfirmed(tickets: Mapping[str, Ticket], seen: Seen) -> list[Sighting]:
    """What is new, and of which the second run could not tell anything."""
    found = to_confirm(tickets, seen.cells, seen.night)
    return [s for s in found.values() if confirmation(s, seen.again) == "unknown"]


def confirmation(sighting: Sighting, again: Iterable[CellRecord]) -> Again:
    """Confirmed if the second run shows it too; gone if all of its cells tell (`causes.tells`), and none shows it."""
    second = {cell.name: cell for cell in again}
    if sighting.fingerprint in sightings(second[c.name] for c in sighting.cells if c.name in second):
        return "confirmed"
    measured = all(c.name in second and tells(second[c.name]) for c in sighting.cells)
    return "gone" if measured else "unknown"


def _advanced(ticket: Ticket | None, sighting: Sighting | None, seen: Seen) -> Ticket | None:
    if ticket is not None and ticket.night == seen.night:
        return ticket
    if sighting is None:
        return _not_seen(ticket, seen) if ticket is not None else None
    if ticket is not None and ticket.state == "open":
        return _seen(ticket, sighting, seen, "open")
    match confirmation(sighting, seen.again):
        case "confirmed":
            return _seen(ticket, sighting, seen, "open")
        case "gone":
            return _seen(ticket, sighting, seen, "flaky")
        case "unknown":
            return ticket


def _seen(ticket: Ticket | None, sighting: Sighting, seen: Seen, state: State) -> Ticket:
    goes_on = ticket is not None and ticket.state == state
    action: Action = "update" if goes_on else "flaky" if state == "flaky" else "open"
    kept, unsteady = _steady(sighting, seen.again) if action == "open" else (sighting.cells, ())
    told = sighting.diagnosis
    versions = [f"{cell.framework}=={cell.version}" for cell in kept]
    return Ticket(
        fingerprint=sighting.fingerprint,
        framework=sighting.framework,
        cause=sighting.cause,
        state=state,
        opened=ticket.opened if ticket is not None and goes_on else seen.night,
        seen=seen.night,
        times=(ticket.times if ticket else 0) + 1,
        places=tuple(Place(version=c.version, scenario=c.label, command=c.command) for c in kept),
        unsteady=tuple(cell.name for cell in unsteady),
        releases=tuple(dict.fromkeys([*(ticket.releases if ticket else ()), *versions])),
        summary=told.summary if told else _found(sighting),
        evidence=told.evidence if told else "",
        upstream=told.upstream if told else None,
        remedy=told.remedy if told else None,
        night=seen.night,
        action=action,
        pending=_owed(ticket, action),
        failed=ticket.failed if ticket else False,
    )


def _found(sighting: Sighting) -> str:
    """Where no cause is known, what was found first."""
    return sighting.cells[0].findings[0].message if sighting.cells[0].findings else sighting.cause


def _steady(sighting: Sighting, again: Iterable[CellRecord]) -> tuple[tuple[CellRecord, ...], tuple[CellRecord, ...]]:
    """Cells that a second run does not contradict, and those that it measured and found right."""
    second = {cell.name: cell for cell in again}
    unsteady = tuple(
        cell
        for cell in sighting.cells
        if cell.name in second
        and tells(second[cell.name])
        and sighting.fingerprint not in sightings([second[cell.name]])
    )
    return tuple(cell for cell in sighting.cells if cell not in unsteady), unsteady


def _not_seen(ticket: Ticket, seen: Seen) -> Ticket:
    if ticket.state == "closed" or not _looked_for(ticket, seen):
        return ticket
    missed = ticket.missed + 1
    if missed < ABSENT:
        return ticket.model_copy(update={"missed": missed, "night": seen.night, "action": None})
    done = {"state": "closed", "closed": seen.night, "action": "close", "listed": _listed(ticket, seen)}
    return ticket.model_copy(update={"missed": missed, "night": seen.night, **done, "pending": _owed(ticket, "close")})


def _listed(ticket: Ticket, seen: Seen) -> bool:
    """Whether it is still there, in a cell that is known for it."""
    known = (cell for cell in seen.cells if cell.framework == ticket.framework and cell.verdict == "accepted")
    return any(ticket.cause in map(family, causes(cell)) for cell in known)


def _owed(ticket: Ticket | None, action: Action) -> Action | None:
    """What the user's command is to be told, which may not have heard yet what it was to be told before."""
    unheard = ticket is not None and ticket.pending in ("open", "flaky")
    if ticket is not None and unheard and action == "update":
        return ticket.pending
    return None if unheard and action == "close" else action


def _looked_for(ticket: Ticket, seen: Seen) -> bool:
    """Whether every place where it was seen last would tell of it, on that release or a later one."""
    own = [cell for cell in seen.cells if cell.framework == ticket.framework]
    # Where nothing newer lies underneath any more, the recipe's own environment is the newest one.
    one = ticket.framework not in seen.unsettled and not any(is_underneath(cell.version) for cell in own)
    return all(_covered(place, own, one) for place in ticket.places)


def _covered(place: Place, cells: list[CellRecord], one: bool) -> bool:
    return any(
        tells(cell)
        and cell.label == place.scenario
        and (one or is_underneath(cell.version) == is_underneath(place.version))
        and own_version(cell.version) >= own_version(place.version)
        for cell in cells
    )
