"""The end of a night at a terminal, by snapshot."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from reports.nightly import markdown, terminal, told
from tests.reports.nightly import made


@pytest.mark.parametrize("found", [True, False])
def test_the_end_of_a_night(snapshot: SnapshotAssertion, found: bool) -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False, markup=False)
    terminal.show(made.night(found), "DIR", console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == snapshot


def test_a_canary_that_could_not_be_run_is_red_and_does_not_blame_the_harness() -> None:
    night = made.night(found=False)
    (canary,) = night.canaries
    idle = night.model_copy(update={"canaries": (canary.model_copy(update={"measured": False}),)})
    assert told.verdict(idle) == "red, a canary could not be run"
    assert idle.status == night.status == 3


def test_a_ticket_that_is_is_accepted_is_told_apart_from_one_that_is_gone() -> None:
    closed = next(event for event in made.night().events if event.state == "closed")
    listed = closed.model_copy(update={"listed": True})
    assert [told.HEADINGS[told.heading(event)] for event in (closed, listed)] == [
        "Closed (not seen for two nights)",
        "Closed (listed as accepted)",
    ]
    (ticket,) = (t for t in made.tickets().values() if t.state == "closed")
    assert told.life(ticket).endswith(": not seen for two nights")
    assert told.life(ticket.model_copy(update={"listed": True})).endswith(": listed as accepted")


@pytest.mark.parametrize(("measured", "said"), [(True, "not seen tonight"), (False, "not measured tonight")])
def test_an_open_ticket_that_the_night_did_not_show_is_marked(measured: bool, said: str) -> None:
    night = made.night()
    (seen,) = (event for event in night.events if told.heading(event) == "still")
    unseen = seen.model_copy(update={"action": None, "measured": measured})
    console = Console(file=io.StringIO(), width=80, highlight=False, markup=False)
    terminal.show(night.model_copy(update={"events": (unseen,), "untold": ("it failed",)}), "DIR", console)
    assert isinstance(console.file, io.StringIO)
    assert f"Still open: 1\n  {seen.fingerprint}  {seen.title} ({said})\n" in console.file.getvalue()
    assert "  it failed\n" in console.file.getvalue()
    page = markdown.night(night.model_copy(update={"events": (unseen,)}), None)
    assert f"; {said}, last on `deepspeed==0.20.0/sft-equal`" in page
