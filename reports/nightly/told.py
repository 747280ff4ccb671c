"""A night in words, which every face of it shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from harness.nightly.record import EventRecord, Night
from harness.nightly.tickets import State, Ticket
from harness.verdicts.verdict import Outcome

STATES: Mapping[State, str] = {"open": "Open", "flaky": "Flaky", "closed": "Closed"}

HEADINGS = {
    "new": "New",
    "still": "Still open",
    "flaky": "Flaky (seen, but not in a second run)",
    "closed": "Closed (not seen for two nights)",
    "listed": "Closed (listed as accepted)",
}

WORST_FIRST: tuple[Outcome, ...] = ("fail", "unknown", "accepted", "pass", "unsupported")

_VERDICTS = {0: "green", 1: "a divergence", 3: "red, not everything went well"}


def heading(event: EventRecord) -> str:
    """Which of `HEADINGS` it belongs under."""
    if event.state == "open":
        return "new" if event.action == "open" else "still"
    return "listed" if event.listed else event.state


def mark(event: EventRecord) -> str:
    """Of a ticket that is open though the night did not show it, why it did not; else nothing."""
    if event.action is not None:
        return ""
    return "not seen tonight" if event.measured else "not measured tonight"


def verdict(night: Night) -> str:
    """In some words, what its exit status says."""
    if any(canary.measured for canary in night.lost):
        return "red, the harness is broken"
    return "red, a canary could not be run" if night.lost else _VERDICTS[night.status]


def reasons(night: Night) -> list[str]:
    """Sentences of what is not as it should be, beside the tickets."""
    unknown = sum(cell.verdict == "unknown" for cell in night.cells)
    return [
        *(canary.said for canary in night.lost),
        *(f"not confirmed, since the second run does not tell: {said}" for said in night.unconfirmed),
        *([f"{unknown} of {len(night.cells)} cells are unknown"] if unknown else []),
        *night.problems,
        *night.untold,
    ]


def counted(night: Night) -> str:
    """`160 cells: 120 pass, 4 known`."""
    counts = Counter(cell.verdict for cell in night.cells)
    told = ", ".join(f"{counts[word]} {word}" for word in WORST_FIRST if counts[word])
    return f"{len(night.cells)} cells: {told}"


def canaries(night: Night) -> str:
    """`canaries: 5 of 5 found`."""
    return f"canaries: {sum(c.found for c in night.canaries)} of {len(night.canaries)} found"


def life(ticket: Ticket) -> str:
    """Since when, how often, until when."""
    nights = "one night" if ticket.times == 1 else f"{ticket.times} nights"
    why = "listed as accepted" if ticket.listed else "not seen for two nights"
    closed = f"; closed in the night {ticket.closed}: {why}" if ticket.closed else ""
    return f"first seen in the night {ticket.opened}, last in {ticket.seen}, in {nights}{closed}"
