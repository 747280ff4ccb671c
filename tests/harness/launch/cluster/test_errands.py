"""What a held job is asked, and what it answers, without a Slurm. With one: `tests/slurm/test_record.py`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness.launch.cluster import errands
from harness.launch.cluster.errands import Failed
from harness.launch.cluster.held import Held
from harness.launch.cluster.slurm import Allocation
from harness.launch.cluster.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.make("lockstep-1")
    return made


def work(one: int, other: str) -> list[object]:
    return [one, other]


def fail() -> None:
    raise ValueError("planted\nand more")


def test_an_answer_is_what_the_work_returns(spool: Spool) -> None:
    spool.ask(1, errands.packed(work, (7, "text")))
    asked = spool.asked(1)
    assert asked is not None
    spool.say(1, "0", errands._answer(asked))
    assert [errands.unpacked(answer) for answer in spool.said(1)] == [[7, "text"]]
    assert spool.asked(2) is None
    assert spool.said(2) == []


def test_what_it_raises_is_one_line() -> None:
    with pytest.raises(Failed, match=r"^ValueError: planted$"):
        errands.unpacked(errands._answer(errands.packed(fail, ())))


def test_a_job_that_gets_its_node_late_starts_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "SILENCE", 0.5)
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setattr(errands.signal, "signal", lambda *_: None)
    spool.ask(1, errands.packed(work, (7, "text")))
    errands.serve(spool.root)
    assert spool.said(1) == []


def test_it_hears_the_command_until_it_stops(spool: Spool) -> None:
    beating = threading.Timer(0.5, spool.beat, (1,))
    beating.start()
    assert errands._hears(spool)
    spool.stop()
    assert not errands._hears(spool)


def test_one_that_slurm_starts_again_does_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    spool.ask(1, errands.packed(work, (7, "text")))
    errands.serve(spool.root)
    assert spool.said(1) == []


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("OUT_OF_MEMORY", "ran out of memory; ask for more by --sbatch=--mem=SIZE"),
        ("TIMEOUT, TimeLimit", "ran out of time; give it more by --time"),
        ("NODE_FAIL, NodeDown", "has lost a node"),
        ("FAILED, NonZeroExitCode", "ended as FAILED, NonZeroExitCode: module: no such module"),
    ],
)
def test_how_a_job_has_ended_is_one_line(tmp_path: Path, state: str, said: str) -> None:
    held = Held(Allocation(), tmp_path, print)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / f"{held._job}_0_log.out").write_text("first\nmodule: no such module\n")
    assert held._how(state) == said
