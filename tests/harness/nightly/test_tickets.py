"""The life of tickets over nights: by example, and as a state machine that is held against what was really there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from harness.judging.accepted import GONE
from harness.nightly import tickets
from harness.nightly.causes import sightings
from harness.nightly.tickets import Seen, Ticket, advance, to_confirm, unconfirmed
from harness.verdicts.verdict import CellRecord
from tests.harness.nightly.made import DROPPED, cell

Tickets = Mapping[str, Ticket]


def night(before: Tickets, number: int, cells: Sequence[CellRecord], again: Sequence[CellRecord] = ()) -> Tickets:
    return advance(before, Seen(f"night-{number}", tuple(cells), tuple(again)))


def only(found: Tickets) -> Ticket:
    (ticket,) = found.values()
    return ticket


def opened(*cells: CellRecord) -> Tickets:
    """After one night in which that was confirmed."""
    return night({}, 1, cells, cells)


def test_what_is_seen_twice_is_opened_with_all_its_cells() -> None:
    cells = [cell(DROPPED), cell(DROPPED, scenario="sft-equal"), cell(scenario="sft-ragged-zero1")]
    ticket = only(opened(*cells))
    assert (ticket.state, ticket.action, ticket.pending, ticket.times) == ("open", "open", "open", 1)
    assert [(p.version, p.scenario) for p in ticket.places] == [("0.19.8", "sft-ragged"), ("0.19.8", "sft-equal")]
    assert ticket.summary == f"{DROPPED} is what it is"


def test_what_is_not_seen_a_second_time_is_flaky() -> None:
    ticket = only(night({}, 1, [cell(DROPPED)], [cell()]))
    assert (ticket.state, ticket.action) == ("flaky", "flaky")


def test_what_cannot_be_seen_a_second_time_is_neither() -> None:
    for again in ([], [cell(verdict="unknown")]):
        assert night({}, 1, [cell(DROPPED)], again) == {}
        (doubtful,) = unconfirmed({}, Seen("night-1", (cell(DROPPED),), tuple(again)))
        assert doubtful.framework == "deepspeed"
    assert unconfirmed({}, Seen("night-1", (cell(DROPPED),), (cell(),))) == []


def test_a_cell_that_shows_it_once_alone_is_told_apart() -> None:
    other = cell(DROPPED, scenario="sft-equal")
    ticket = only(night({}, 1, [cell(DROPPED), other], [cell(DROPPED), cell(scenario="sft-equal")]))
    assert [p.scenario for p in ticket.places] == ["sft-ragged"]
    assert ticket.unsteady == (other.name,)


def test_what_is_seen_again_updates_the_one_ticket_on_a_later_release_too() -> None:
    newer = cell(DROPPED, version="0.20.0", scenario="sft-equal")
    assert to_confirm(opened(cell(DROPPED)), [newer], "night-2") == {}
    ticket = only(night(opened(cell(DROPPED)), 2, [newer]))
    assert (ticket.state, ticket.action, ticket.times) == ("open", "update", 2)
    assert (ticket.opened, ticket.seen) == ("night-1", "night-2")
    assert ticket.releases == ("deepspeed==0.19.8", "deepspeed==0.20.0")


def test_two_nights_without_it_close_it_and_no_unknown_one_counts() -> None:
    found = opened(cell(DROPPED))
    for number, cells in enumerate([[cell()], [cell(verdict="unknown")], [], [cell(framework="trl")]], start=2):
        found = night(found, number, cells)
        assert (only(found).state, only(found).missed) == ("open", 1)
    ticket = only(night(found, 9, [cell()]))
    assert (ticket.state, ticket.action, ticket.closed) == ("closed", "close", "night-9")
    assert only(night({ticket.fingerprint: ticket}, 10, [cell()])) == ticket


@pytest.mark.parametrize("other", [cell(codes=("weights.unexplained",)), cell(codes=("weights.unexplained", GONE))])
def test_a_cell_that_fails_without_a_diagnosis_closes_nothing_and_makes_nothing_flaky(other: CellRecord) -> None:
    found = opened(cell(DROPPED))
    for number in range(2, 6):
        found = night(found, number, [other], [other])
        (old,) = (t for t in found.values() if t.cause != "weights.unexplained" and t.cause != GONE)
        assert (old.state, old.missed) == ("open", 0)
    assert night({}, 1, [cell(DROPPED)], [other]) == {}
    (doubtful,) = unconfirmed({}, Seen("night-1", (cell(DROPPED),), (other,)))
    assert doubtful.cause.startswith("dropped")
    assert only(night(opened(cell(DROPPED)), 2, [cell(codes=(GONE,))], [cell(codes=("loss.value",))])).missed == 1


def test_a_cell_that_fails_by_another_diagnosis_counts() -> None:
    other = cell("gradient-scale: 1/GA", codes=("weights.scale",))
    found = night(night(opened(cell(DROPPED)), 2, [other], [other]), 3, [other])
    assert [(t.state, t.listed) for t in found.values() if t.cause.startswith("dropped")] == [("closed", False)]


def test_an_older_release_without_it_closes_nothing() -> None:
    found = opened(cell(DROPPED))
    assert only(night(found, 2, [cell(version="0.19.7")])).missed == 0
    assert only(night(found, 2, [cell(version="0.20.0")])).missed == 1


def test_what_is_right_on_the_recipes_packages_closes_nothing_of_the_newest_ones() -> None:
    newest = "0.19.8,transformers==5.23.0"
    found = opened(cell(DROPPED, version=newest), cell())
    assert only(night(found, 2, [cell(), cell(version=newest, verdict="unknown")])).missed == 0
    assert only(night(found, 2, [cell(), cell(version="0.19.8,transformers==5.24.0")])).missed == 1
    assert only(night(found, 2, [cell()])).missed == 1, "nothing newer lies underneath any more"
    unsettled = Seen("night-2", (cell(),), unsettled=frozenset(["deepspeed"]))
    assert only(advance(found, unsettled)).missed == 0, "nobody knows what does"


def test_an_open_ticket_stays_where_it_is_seen_though_the_second_run_of_something_else_does_not_show_it() -> None:
    found = opened(cell(DROPPED))
    ticket = night(found, 2, [cell(DROPPED, "gradient-scale: 1/GA")], [cell()])[only(found).fingerprint]
    assert (ticket.state, ticket.action, len(ticket.places)) == ("open", "update", 1)


def test_what_comes_back_is_confirmed_and_opens_the_same_ticket_again() -> None:
    found = night(night(opened(cell(DROPPED)), 2, [cell()]), 3, [cell()])
    assert set(to_confirm(found, [cell(DROPPED)], "night-4")) == set(found)
    ticket = only(night(found, 4, [cell(DROPPED)], [cell(DROPPED)]))
    assert (ticket.state, ticket.action, ticket.opened, ticket.times) == ("open", "open", "night-4", 2)
    assert (ticket.missed, ticket.closed) == (0, None)


def test_what_is_listed_as_known_is_closed_for_that_reason() -> None:
    known = cell(DROPPED, verdict="accepted")
    ticket = only(night(night(opened(cell(DROPPED)), 2, [known]), 3, [known]))
    assert (ticket.state, ticket.listed) == ("closed", True)
    again = only(night({ticket.fingerprint: ticket}, 4, [cell(DROPPED)], [cell(DROPPED)]))
    assert (again.state, again.listed) == ("open", False)
    other = cell("gradient-scale: 1/GA", verdict="accepted")
    ticket = only(night(night(opened(cell(DROPPED)), 2, [other]), 3, [other]))
    assert (ticket.state, ticket.listed) == ("closed", False)


def test_a_command_that_has_not_heard_of_a_ticket_is_told_to_open_it() -> None:
    found = opened(cell(DROPPED))
    assert only(night(found, 2, [cell(DROPPED)])).pending == "open"
    heard = {name: t.model_copy(update={"pending": None}) for name, t in found.items()}
    assert only(night(heard, 2, [cell(DROPPED)])).pending == "update"
    assert only(night(night(found, 2, [cell()]), 3, [cell()])).pending is None, "opened and closed unheard"
    assert only(night(night(heard, 2, [cell()]), 3, [cell()])).pending == "close"


FRAMEWORKS = ("deepspeed", "trl")
SCENARIOS = ("sft-ragged", "sft-equal")
CAUSES = (DROPPED, "gradient-scale: 1/GA")
UNDIAGNOSED = "weights.unexplained"

SIGHT = st.sampled_from(["pass", "unknown", "unsupported", UNDIAGNOSED, *CAUSES, "both"])
CELLS = st.fixed_dictionaries({(f, s): st.one_of(st.none(), SIGHT) for f in FRAMEWORKS for s in SCENARIOS})


def cells_of(drawn: Mapping[tuple[str, str], str | None]) -> list[CellRecord]:
    found = []
    for (framework, scenario), sight in drawn.items():
        if sight in ("pass", "unknown", "unsupported"):
            found.append(cell(framework=framework, scenario=scenario, verdict=sight))
        elif sight == UNDIAGNOSED:
            found.append(cell(framework=framework, scenario=scenario, codes=(UNDIAGNOSED,)))
        elif sight is not None:
            kinds = CAUSES if sight == "both" else (sight,)
            found.append(cell(*kinds, framework=framework, scenario=scenario))
    return found


class Nights(RuleBasedStateMachine):
    """Any nights in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets: Tickets = {}
        self.number = 0
        self.clean: dict[str, int] = {}
        """Nights since it was seen last in which all of its places were measured."""

    @rule(drawn=CELLS, second=CELLS)
    def night(self, drawn: Mapping[tuple[str, str], str | None], second: Mapping[tuple[str, str], str | None]) -> None:
        self.number += 1
        name, before, cells = f"night-{self.number:04d}", self.tickets, cells_of(drawn)
        new = to_confirm(before, cells, name)
        wanted = {c.name for sighting in new.values() for c in sighting.cells}
        seen = Seen(name, tuple(cells), tuple(c for c in cells_of(second) if c.name in wanted))
        self.tickets = advance(before, seen)
        assert advance(self.tickets, seen) == self.tickets, "the same night counts once"
        self._hold(before, seen, new.keys())

    def _hold(self, before: Tickets, seen: Seen, new: Sequence[str]) -> None:
        found, second = sightings(seen.cells), sightings(seen.again)
        measured = {(c.framework, c.label) for c in seen.cells if c.verdict == "pass" or c.diagnoses}
        for name, ticket in self.tickets.items():
            old = before.get(name)
            if ticket.state == "open" and (old is None or old.state != "open"):
                assert name in found, "opened without being seen"
                assert name in second, "opened without a second run"
            if name in found and (old is None or old.state != "closed") and name not in new:
                assert ticket.state == "open"
            if name in found:
                self.clean[name] = 0 if name not in new or ticket != old else self.clean.get(name, 0)
            elif old is not None and {(ticket.framework, p.scenario) for p in old.places} <= measured:
                self.clean[name] = self.clean.get(name, 0) + 1
            if ticket.state == "closed" and old is not None and old.state != "closed":
                assert self.clean[name] == tickets.ABSENT, "closed too early"
                assert name not in found
            if ticket.state != "closed":
                assert self.clean.get(name, 0) < tickets.ABSENT, "not closed"
        assert set(before) <= set(self.tickets), "a ticket is never lost"

    @invariant()
    def one_cause_is_one_ticket(self) -> None:
        causes = [(ticket.framework, ticket.cause) for ticket in self.tickets.values()]
        assert len(set(causes)) == len(causes) <= len(FRAMEWORKS) * (len(CAUSES) + 1)

    @invariant()
    def what_is_told_is_told_of_its_own_night(self) -> None:
        for ticket in self.tickets.values():
            assert ticket.opened <= ticket.seen <= ticket.night
            assert (ticket.state == "closed") == (ticket.closed is not None)
            assert ticket.places


TestNights = Nights.TestCase
TestNights.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
