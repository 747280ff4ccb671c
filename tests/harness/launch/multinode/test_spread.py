"""One cell over two machines ends as it does on one. Both are this machine here, by two of its addresses."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.contract import Job
from harness.launch.multinode import spread
from harness.launch.multinode.machines import Machines, named
from harness.launch.outcome import Ending, Outcome
from harness.launch.torchrun import Torchrun, run
from tests.frameworks.command import wait_until
from tests.frameworks.reading import sealed
from tests.harness.launch.failing import FAILING

pytestmark = pytest.mark.slow

Make = Callable[..., Job]
Survivors = Callable[[Job], list[int]]

PYTHON = Path(sys.executable)
BOTH = ["127.0.0.1", "127.0.0.2"]
NOBODY = "192.0.2.7"
"""An address that is kept for examples."""


def test_it_gives_the_same_bits_as_one_machine(variables: dict[str, str], job: Make, survivors: Survivors) -> None:
    here, both = job(), job()
    assert run(PYTHON, variables, here, 120).status == "finished"
    outcome = over_two(variables, both, 120)
    assert (outcome.status, outcome.exit_codes) == ("finished", {0: 0, 1: 0})
    assert sealed(Path(here.trace)) == sealed(Path(both.trace))
    assert survivors(both) == []


@FAILING
def test_a_rank_that_fails_is_named(
    variables: dict[str, str], job: Make, survivors: Survivors, how: str, reason: str
) -> None:
    cell = job(how)
    outcome = over_two(variables, cell, 120)
    assert (outcome.status, outcome.reason) == ("crashed", reason)
    assert survivors(cell) == []


def test_a_hang_ends_on_both(variables: dict[str, str], job: Make, survivors: Survivors) -> None:
    cell = job("hang")
    outcome = over_two(variables, cell, 25)
    assert outcome.status == "timeout"
    assert "still running: 0, 1" in (outcome.reason or "")
    assert survivors(cell) == []


def test_closing_ends_what_runs(variables: dict[str, str], job: Make, survivors: Survivors) -> None:
    cell = job("hang")
    launcher = Torchrun(PYTHON, variables, machines=named(BOTH, None))
    running = threading.Thread(target=launcher.run, args=(cell, 120))
    running.start()
    assert wait_until(lambda: len(list(Path(cell.trace).parent.glob("pid-*"))) == 2, 60)
    launcher.close()
    running.join(15)
    assert not running.is_alive()
    assert survivors(cell) == []


@pytest.mark.parametrize(
    ("reach", "said"),
    [
        ("sh -c 'echo no way to {} >&2; exit 255' ", f"ended with status 255: no way to {NOBODY}"),
        ("/nowhere/ssh {}", "ended with status 126: /nowhere/ssh cannot be run: No such file or directory"),
    ],
)
def test_a_machine_that_is_not_reached_is_named(variables: dict[str, str], reach: str, said: str) -> None:
    with Torchrun(PYTHON, variables, machines=named([BOTH[0], NOBODY], reach)) as launcher:
        with pytest.raises(spread.Lost) as raised:
            launcher.start()
        assert str(raised.value) == f"machine {NOBODY}: the command on it {said}"


def test_what_a_machine_does_not_see_is_said(variables: dict[str, str], job: Make, tmp_path: Path) -> None:
    cell = job()
    gone = tmp_path / "only-here"
    outcome = over_two(variables, replace(cell, checkpoint=str(gone)), 60)
    assert outcome.status == "crashed"
    assert outcome.reason == f"machine 127.0.0.1 does not see {gone}; it must be on a file system that all share"


def test_ranks_that_fail_once_the_time_of_others_is_over_are_no_cause() -> None:
    nothing = {"ended": [], "killed": [], "timed_out": False, "lost": None, "left": [], "unnamed": None}
    late = {**nothing, "killed": [0, 1], "timed_out": True}
    failed = {**nothing, "ended": [(2, 1), (3, 0)]}
    for answers in ([late, failed], [failed, late]):
        for in_time in (True, False):
            wanted = Ending(killed=(0, 1, 2), timed_out=True, written_late=not in_time)
            assert spread._together(answers, in_time) == wanted
    assert spread._together([failed], False) == Ending(ended=((2, 1), (3, 0)))


def over_two(variables: dict[str, str], cell: Job, timeout: float, machines: Machines | None = None) -> Outcome:
    with Torchrun(PYTHON, variables, machines=machines or named(BOTH, None)) as launcher:
        launcher.start()
        return launcher.run(cell, timeout)
