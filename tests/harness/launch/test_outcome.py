"""How a cell's end is told from exit codes and what lies in the trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.contract import CRASH, END
from harness.launch.outcome import Ending, conclude

SAID = {"kind": "crashed", "rank": 1, "reason": "RuntimeError: connection closed by peer"}


def crash(trace: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((trace / CRASH).read_text())
    return content


def test_finished(tmp_path: Path) -> None:
    (tmp_path / END).write_text("{}")
    outcome = conclude(tmp_path, Ending(((1, 0), (0, 0))), 60, 0.25)
    assert (outcome.status, outcome.seconds, outcome.reason) == ("finished", 0.25, None)
    assert not (tmp_path / CRASH).exists()


def test_what_a_rank_wrote_counts(tmp_path: Path) -> None:
    (tmp_path / CRASH).write_text(json.dumps(SAID))
    (tmp_path / "log-r01.txt").write_text("the log of rank 1")
    outcome = conclude(tmp_path, Ending(((1, 1),), (0,)), 60, 1.0)
    assert outcome.reason == "rank 1: RuntimeError: connection closed by peer"
    assert outcome.exit_codes == {1: 1, 0: -9}
    assert outcome.log_tail == "the log of rank 1"
    assert crash(tmp_path) == SAID


def test_what_a_rank_wrote_once_the_time_was_over_does_not(tmp_path: Path) -> None:
    (tmp_path / CRASH).write_text(json.dumps(SAID))
    outcome = conclude(tmp_path, Ending(killed=(0, 1), timed_out=True, written_late=True), 60, 1.0)
    assert (outcome.status, outcome.reason) == ("timeout", "not finished after 60 s; still running: 0, 1")
    assert crash(tmp_path)["kind"] == "timeout"


def test_a_signal_to_the_first_rank_counts_more(tmp_path: Path) -> None:
    (tmp_path / CRASH).write_text(json.dumps(SAID))
    outcome = conclude(tmp_path, Ending(((0, -11), (1, 1))), 60, 1.0)
    assert outcome.reason == "rank 0: killed by SIGSEGV"
    assert crash(tmp_path) == {"kind": "crashed", "rank": 0, "reason": "killed by SIGSEGV"}


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [
        (Ending(((0, 3),)), "crashed", "rank 0: exited with status 3"),
        (Ending(killed=(0, 1), timed_out=True), "timeout", "not finished after 60 s; still running: 0, 1"),
        (Ending(((0, 0), (1, 0))), "crashed", "all ranks ended without an error, but the trace has no end.json"),
        (Ending(lost="the template process has ended"), "crashed", "the template process has ended"),
    ],
)
def test_the_harness_says_why_where_no_rank_could(tmp_path: Path, ending: Ending, status: str, reason: str) -> None:
    outcome = conclude(tmp_path, ending, 60, 1.0)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert (tmp_path / CRASH).exists()


STACK = """Thread 0x1 (most recent call first):
  File "/lib/threading.py", line 7 in wait

Current thread 0x2 (most recent call first):
  File "/lib/distributed_c10d.py", line 2312 in destroy_process_group
  File "/a/loop.py", line 3 in train
"""


def test_a_rank_that_hangs_is_told_with_the_place_and_its_log(tmp_path: Path) -> None:
    (tmp_path / "log-r00.txt").write_text("done")
    (tmp_path / "log-r01.txt").write_text(f"loss 2.0\n{STACK}")
    outcome = conclude(tmp_path, Ending(((0, 0),), (1,), timed_out=True), 300, 300.0)
    where = "; rank 1 was in destroy_process_group (distributed_c10d.py:2312)"
    assert outcome.reason == f"not finished after 300 s; still running: 1{where}"
    assert outcome.log_tail.startswith("loss 2.0")
    assert crash(tmp_path)["reason"] == outcome.reason


def test_a_torn_crash_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / CRASH).write_text('{"kind": "cra')
    assert conclude(tmp_path, Ending(((0, 3),)), 60, 1.0).reason == "rank 0: exited with status 3"
    assert crash(tmp_path)["rank"] == 0


def test_a_sealed_trace_with_a_failed_rank_is_a_crash(tmp_path: Path) -> None:
    (tmp_path / END).write_text("{}")
    assert conclude(tmp_path, Ending(((0, 0), (1, -6))), 60, 1.0).reason == "rank 1: killed by SIGABRT"
