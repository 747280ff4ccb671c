"""The folder between a run and its jobs: whoever takes from it, no ticket is lost, and none is taken twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.contract import Job
from harness.launch.cluster.spool import Spool, Ticket
from harness.launch.outcome import Outcome

Make = Callable[..., Job]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.make("lockstep-1")
    return made


def test_what_is_put_is_taken_as_it_was(spool: Spool, job: Make) -> None:
    ticket = Ticket(7, 2, job("raise"), 12.5)
    spool.put(ticket)
    assert spool.take("a") == ticket
    assert spool.take("b") is None
    assert spool.taken() == {ticket.file: "a"}


def test_the_first_of_them_is_taken_first(spool: Spool, job: Make) -> None:
    for number in (12, 3, 100):
        spool.put(Ticket(number, 1, job(), 1.0))
    assert [(spool.take("a") or ticket).number for ticket in 3 * [Ticket(0, 1, job(), 1.0)]] == [3, 12, 100]


def test_many_takers_share_them(spool: Spool, job: Make) -> None:
    one = Ticket(0, 1, job(), 1.0)
    for number in range(200):
        spool.put(replace(one, number=number))

    def take_all(worker: str) -> list[int]:
        found = []
        while (ticket := spool.take(worker)) is not None:
            found.append(ticket.number)
        return found

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(take_all, "abcdefgh"))
    assert sorted(number for share in shares for number in share) == list(range(200))


def test_an_answer_is_read_as_it_was_given(spool: Spool, job: Make) -> None:
    ticket = Ticket(1, 1, job(), 1.0)
    outcome = Outcome("crashed", 1.5, "rank 1: ValueError: \u202e", "log\n", {0: -9, 1: 1})
    spool.answer(ticket, outcome)
    assert spool.answers() == [ticket.file]
    assert spool.answered(ticket) == outcome


def test_workers_say_whether_they_can(spool: Spool) -> None:
    spool.begin("1", None)
    spool.begin("2", "no such module")
    assert spool.workers() == {"1": None, "2": "no such module"}


def test_the_pulse_changes_with_each_beat_and_ends(spool: Spool) -> None:
    beats = []
    for count in range(3):
        spool.beat(count)
        beats.append(spool.pulse)
    assert len({*beats}) == 3
    assert None not in beats
    spool.stop()
    assert spool.pulse is None


def test_there_is_no_pulse_where_the_folder_is_gone(spool: Spool) -> None:
    shutil.rmtree(spool.root)
    assert spool.pulse is None
    assert spool.name is None


def test_a_pulse_that_cannot_be_read_now_is_no_end(spool: Spool) -> None:
    pulse = spool.root / "alive"
    pulse.unlink()
    pulse.mkdir()
    assert spool.pulse == ""


def test_a_spool_that_is_made_anew_has_nothing_of_the_old_one(spool: Spool, job: Make) -> None:
    spool.put(Ticket(1, 1, job(), 1.0))
    spool.begin("1", None)
    spool.stop()
    spool.make("lockstep-2")
    assert (spool.name, spool.take("a"), spool.workers()) == ("lockstep-2", None, {})
    assert spool.pulse is not None
