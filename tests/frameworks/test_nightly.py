"""`lockstep nightly` on real releases: a quiet night, a lost canary, a finding, and a night that is killed.

Small nights: one framework on one or two scenarios, and one canary.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.environments import recipes
from harness.nightly import outbox, record
from harness.nightly.record import Night
from harness.verdicts import verdict
from tests.frameworks.command import COMMAND, needs_proc, processes_in, wait_until
from tests.sandboxed import MISSING

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]

NEWEST = recipes.shipped().framework["deepspeed"].newest
CANARY = """
[[canary]]
release = "deepspeed=={release}"
scenario = "sft-ragged-zero2-offload"
cause = "dropped-micro-batches: 1, 2 of 4"
"""


@dataclass(frozen=True)
class Place:
    """A folder of nights, and how the command is started there."""

    folder: Path
    envs: Path

    @property
    def home(self) -> Path:
        return self.folder / "nights of it"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def start(self, *arguments: str, canary: str = "0.18.9") -> subprocess.Popen[str]:
        self.temporary.mkdir(exist_ok=True)
        (self.folder / "canaries.toml").write_text(CANARY.format(release=canary))
        options = ["--dir", str(self.home), "--envs", str(self.envs), "--canaries", "canaries.toml"]
        return subprocess.Popen(
            [str(COMMAND), "nightly", *options, *arguments],
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.temporary), "LOCKSTEP_HISTORY": str(self.folder / "history.sqlite")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def night(self, *arguments: str, canary: str = "0.18.9") -> tuple[int, str]:
        """Exit status and what was printed."""
        process = self.start(*arguments, canary=canary)
        printed, said = process.communicate(timeout=1800)
        assert "Traceback" not in said, said
        assert wait_until(lambda: not self.processes(), 10.0), "no process is left"
        return process.returncode, printed

    def processes(self) -> list[int]:
        return processes_in(self.temporary)

    @property
    def nights(self) -> list[Night]:
        return record.nights(self.home)


@pytest.fixture
def place(tmp_path: Path, environments: Path) -> Place:
    return Place(tmp_path, environments)


SANDBOX = () if MISSING else ("--sandbox",)
SMALL = ("--only", "torch==2.13.0", "--scenario", "sft-ragged")


@pytest.mark.exhaustive
def test_a_quiet_night_and_one_that_lost_its_canary(place: Place) -> None:
    """The bug is mended in that release: a harness that is to find it there has to say that it does not."""
    status, printed = place.night(*SMALL)
    assert status == 0, printed
    (night,) = place.nights
    assert night.canaries[0].found
    assert {cell.verdict for cell in night.cells} == {"pass"}
    assert "torch==2.13.0" in night.plan.requests
    assert verdict.read(place.home / record.NIGHTS / night.name).complete
    status, printed = place.night(*SMALL, *SANDBOX, canary=NEWEST)
    assert status == 3
    assert "red, the harness is broken" in printed
    assert f"in deepspeed=={NEWEST} on sft-ragged-zero2-offload: the cell is pass" in " ".join(printed.split())


def test_a_finding_is_one_ticket_over_two_nights(place: Place) -> None:
    script = place.folder / "tell.sh"
    script.write_text('#!/bin/sh\necho "$1 $LOCKSTEP_TICKET_TITLE" >> told\n')
    script.chmod(0o755)
    arguments = ("--only", "deepspeed==0.18.9", "--scenario", "sft-ragged-zero2", "--ticket-command", str(script))
    assert place.night(*arguments)[0] == 1
    assert place.night(*arguments)[0] == 1
    assert (place.folder / "told").read_text().splitlines() == [
        "open deepspeed: gradient-scale: 1/GA",
        "update deepspeed: gradient-scale: 1/GA",
    ]
    (ticket,) = outbox.load(place.home).values()
    assert (ticket.times, ticket.opened) == (2, place.nights[0].name)
    again = verdict.read(place.home / record.NIGHTS / ticket.opened / "again")
    assert {(cell.scenario, cell.verdict) for cell in again.cells} == {("sft-ragged-zero2", "fail")}


MANY = ("--only", "torch==2.13.0", "--scenario", "sft-*", "--jobs", "1")


@pytest.mark.exhaustive
@needs_proc
def test_a_killed_night_goes_on_and_a_second_one_is_refused_meanwhile(place: Place) -> None:
    process = place.start(*MANY)
    assert wait_until(lambda: _recorded(place) >= 3, 600.0)
    status, said = _refused(place)
    assert (status, f"(process {process.pid}, since" in said) == (2, True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (stopped,) = place.nights
    assert stopped.finished is None
    folder = place.home / record.NIGHTS / stopped.name
    before = {cell.name: cell for cell in verdict.read(folder).cells}
    assert wait_until(lambda: not place.processes(), 60.0), "what it started ends as well"
    status, printed = place.night(*MANY)
    (night,) = place.nights
    assert night.finished
    assert night.plan == stopped.plan
    after = {cell.name: cell for cell in verdict.read(folder).cells}
    judged = [name for name, cell in before.items() if cell.verdict != "unknown"]
    assert len(judged) >= 3
    assert all(after[name] == before[name] for name in judged), "nothing that came to a verdict ran again"
    assert len(after) > len(before)
    assert status == 0, printed


def _recorded(place: Place) -> int:
    found = list((place.home / record.NIGHTS).glob(f"*/{verdict.FILE}"))
    return len(verdict.read(found[0].parent).cells) if found else 0


def _refused(place: Place) -> tuple[int, str]:
    command = [str(COMMAND), "nightly", "--dir", str(place.home)]
    ran = subprocess.run(command, cwd=place.folder, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stderr
