"""Cells forked from a template: whatever one of them does, nothing is left behind and the next one runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.contract import CRASH, END, Job, tensors_file
from harness.launch.outcome import TAIL
from harness.launch.template import Template, TemplateFailed
from tests.harness.processes import children

Make = Callable[..., Job]
Survivors = Callable[[Job], list[int]]


def crash(job: Job) -> dict[str, object]:
    content: dict[str, object] = json.loads((Path(job.trace) / CRASH).read_text())
    return content


def test_a_cell_finishes(template: Template, job: Make, survivors: Survivors) -> None:
    cell = job()
    outcome = template.run(cell, 60)
    assert (outcome.status, outcome.reason, outcome.exit_codes) == ("finished", None, {0: 0, 1: 0})
    assert (Path(cell.trace) / END).exists()
    assert "rank 0 of 2" in outcome.log_tail
    assert survivors(cell) == []


def test_cells_are_alike_to_the_bit(template: Template, job: Make) -> None:
    cells = [job(), job()]
    for cell in cells:
        assert template.run(cell, 60).status == "finished"
    first, second = ((Path(cell.trace) / tensors_file(1)).read_bytes() for cell in cells)
    assert first == second


def test_an_exception_ends_the_cell_and_names_its_rank(template: Template, job: Make, survivors: Survivors) -> None:
    cell = job("raise")
    outcome = template.run(cell, 60)
    assert outcome.status == "crashed"
    assert outcome.reason == "rank 1: ValueError: planted"
    assert outcome.seconds < 10
    assert "Traceback" in outcome.log_tail
    assert crash(cell) == {"kind": "crashed", "rank": 1, "reason": "ValueError: planted"}
    assert survivors(cell) == []
    assert template.run(job(), 60).status == "finished"


@pytest.mark.parametrize("how", ["kill", "kill_late"])
def test_a_killed_rank_is_the_cause_even_if_others_complain(
    template: Template, job: Make, survivors: Survivors, how: str
) -> None:
    cell = job(how)
    outcome = template.run(cell, 60)
    assert (outcome.status, outcome.reason) == ("crashed", "rank 1: killed by SIGKILL")
    assert outcome.exit_codes[1] == -signal.SIGKILL
    assert crash(cell)["reason"] == "killed by SIGKILL"
    assert survivors(cell) == []


def test_an_exit_is_a_crash(template: Template, job: Make) -> None:
    outcome = template.run(job("exit"), 60)
    assert outcome.status == "crashed"
    assert outcome.reason is not None
    assert outcome.reason.endswith("exited with status 3")


def test_ranks_that_end_early_without_a_word_are_a_crash(template: Template, job: Make) -> None:
    outcome = template.run(job("silent"), 60)
    assert outcome.status == "crashed"
    assert outcome.reason in {f"rank {rank}: exited with status 0, but the trace has no end.json" for rank in (0, 1)}


def test_a_rank_that_leaves_is_the_cause_even_if_its_peer_complains(template: Template, job: Make) -> None:
    cell = job("leave")
    outcome = template.run(cell, 60)
    assert "RuntimeError" in (Path(cell.trace) / "log-r00.txt").read_text(), "it does complain"
    assert outcome.reason == "rank 1: exited with status 0, but the trace has no end.json"


def test_a_rank_that_leaves_unnoticed_is_told_at_the_timeout(template: Template, job: Make) -> None:
    outcome = template.run(job("leave_late"), 1.5)
    assert (outcome.reason or "").startswith(
        "not finished after 1.5 s; still running: 0; rank 1 has exited with status 0; rank 0 was in "
    )


def test_a_killed_keeper_of_ranks_is_the_cause_and_nothing_is_left(
    template: Template, job: Make, survivors: Survivors
) -> None:
    cell = job("kill_keeper")
    outcome = template.run(cell, 60)
    assert (outcome.status, outcome.reason) == ("crashed", "the process that keeps the ranks was killed by SIGKILL")
    assert outcome.seconds < 10
    assert survivors(cell) == []
    assert template.run(job(), 60).status == "finished"


def test_ranks_cannot_write_to_the_channel_of_the_template(template: Template, job: Make) -> None:
    before = template.process
    assert [template.run(job(how), 60).status for how in ("write", None)] == ["finished", "finished"]
    assert template.process == before


def test_a_hang_ends_at_the_timeout(template: Template, job: Make, survivors: Survivors) -> None:
    cell = job("hang")
    outcome = template.run(cell, 1.5)
    assert outcome.status == "timeout"
    assert re.fullmatch(
        r"not finished after 1\.5 s; still running: 0, 1; rank 0 was in do_hang \(misbehaving_sft\.py:\d+\)",
        outcome.reason or "",
    )
    assert "in do_hang" in outcome.log_tail, "the stack, for a reader"
    assert outcome.seconds < 6
    assert crash(cell)["kind"] == "timeout"
    assert survivors(cell) == []


def test_runaway_grandchildren_are_ended(template: Template, job: Make, survivors: Survivors) -> None:
    cell = job("orphan")
    assert template.run(cell, 60).status == "finished"
    assert survivors(cell) == []


def test_much_output_does_not_block(template: Template, job: Make) -> None:
    cell = job("print")
    outcome = template.run(cell, 60)
    assert outcome.status == "finished"
    assert len(outcome.log_tail) <= TAIL
    assert "last words" in outcome.log_tail
    assert (Path(cell.trace) / "log-r01.txt").stat().st_size > 1_000_000


def test_what_cannot_be_expressed_is_unsupported(template: Template, job: Make) -> None:
    outcome = template.run(job(strategy="fsdp"), 60)
    assert (outcome.status, outcome.reason) == ("unsupported", "misbehaving 1 has no sharding")


def test_cells_overlap(template: Template, job: Make) -> None:
    hows = [None, "hang", None, "raise", None]
    cells = [job(how) for how in hows]
    with ThreadPoolExecutor(len(cells)) as pool:
        outcomes = list(pool.map(lambda cell: template.run(cell, 20 if cell.fault != "hang" else 2), cells))
    assert [o.status for o in outcomes] == ["finished", "timeout", "finished", "crashed", "finished"]


def test_every_cell_has_a_folder_of_its_own_and_none_stays(
    variables: dict[str, str], job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = tmp_path / "temporary"
    everything.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(everything))
    cells = [job(how) for how in (None, "kill", "print")]
    with Template(Path(sys.executable), cells[0].adapter, variables, tmp_path / "log.txt") as template:
        for number, cell in enumerate(cells):
            template.run(cell, 60)
            assert f"/cell-{number}" in (Path(cell.trace) / "log-r00.txt").read_text()
        (folder,) = everything.iterdir()
        assert sorted(entry.name for entry in folder.iterdir()) == ["adapters", "scratch"]
    assert list(everything.iterdir()) == []


HARNESS = """
import sys
from pathlib import Path
from adapters.contract import Job
from harness.launch.template import Template
from harness.launch.torchrun import Torchrun
job, launcher, variables = Job.loads(sys.argv[1]), sys.argv[2], dict(p.split("=", 1) for p in sys.argv[3:])
python = Path(sys.executable)
runner = Torchrun(python, variables) if launcher == "torchrun" else Template(
    python, job.adapter, variables, Path(job.trace) / "log.txt")
runner.run(job, 120)
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["template", "torchrun"])
def test_a_killed_harness_leaves_nothing(
    variables: dict[str, str], job: Make, survivors: Survivors, tmp_path: Path, launcher: str
) -> None:
    cell = job("hang")
    with _harness(cell, launcher, variables, tmp_path) as harness:
        _wait_for_ranks(cell)
        harness.kill()
    assert survivors(cell) == []
    _await(lambda: not list((tmp_path / "temporary").iterdir()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("whom", "reason"),
    [
        ("template", "the template process was killed by SIGKILL"),
        ("keeper", "the process that keeps the template was killed"),
    ],
)
def test_a_template_that_dies_takes_its_cells_along_and_is_started_again(
    variables: dict[str, str], job: Make, survivors: Survivors, tmp_path: Path, whom: str, reason: str
) -> None:
    cell = job("hang")
    with Template(Path(sys.executable), cell.adapter, variables, tmp_path / "log.txt") as template:
        template.start()
        assert template.process is not None
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(template.run, cell, 60)
            _wait_for_ranks(cell)
            os.kill(template.process if whom == "keeper" else children(template.process)[0], signal.SIGKILL)
            outcome = running.result(20)
        assert (outcome.status, outcome.reason) == ("crashed", reason)
        assert survivors(cell) == []
        assert template.run(job(), 60).status == "finished"


def test_closing_ends_what_runs(variables: dict[str, str], job: Make, survivors: Survivors, tmp_path: Path) -> None:
    cell = job("hang")
    template = Template(Path(sys.executable), cell.adapter, variables, tmp_path / "log.txt")
    template.start()
    process = template.process
    running = threading.Thread(target=template.run, args=(cell, 60))
    running.start()
    _wait_for_ranks(cell)
    template.close()
    running.join(10)
    assert not running.is_alive()
    assert survivors(cell) == []
    assert process is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(TemplateFailed):
        template.start()


@pytest.mark.slow
def test_an_adapter_that_does_not_import_says_why(job: Make, tmp_path: Path) -> None:
    with Template(Path(sys.executable), "no_such_module", {}, tmp_path / "log.txt") as template:
        with pytest.raises(TemplateFailed, match="No module named 'no_such_module'"):
            template.start()
        outcome = template.run(job(), 60)
    assert outcome.status == "crashed"
    assert "No module named" in str(outcome.reason)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "kill the template", "kill the harness"])
def test_a_daemon_from_an_import_ends_with_its_template(
    variables: dict[str, str], job: Make, tmp_path: Path, how: str
) -> None:
    """Two forks, a session of its own, all descriptors closed."""
    notes = tmp_path / "notes"
    notes.mkdir()
    own = {**variables, "AT_IMPORT": "daemon", "NOTES": str(notes)}
    if how == "kill the harness":
        cell = job("hang")
        with _harness(cell, "template", own, tmp_path) as harness:
            _wait_for_ranks(cell)
            _assert_alive(notes)
            harness.kill()
    else:
        with Template(Path(sys.executable), job().adapter, own, tmp_path / "log.txt") as template:
            template.start()
            _assert_alive(notes)
            if how == "kill the template":
                assert template.process is not None
                os.kill(children(template.process)[0], signal.SIGKILL)
                _assert_gone(notes)
    _assert_gone(notes)


@pytest.mark.slow
def test_a_killed_harness_ends_a_template_that_hangs_in_its_import(
    variables: dict[str, str], job: Make, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    own = {**variables, "AT_IMPORT": "hang", "NOTES": str(notes)}
    with _harness(job(), "template", own, tmp_path) as harness:
        _await(lambda: list(notes.iterdir()))
        harness.kill()
    _assert_gone(notes)
    _await(lambda: not list((tmp_path / "temporary").iterdir()))


@pytest.mark.slow
def test_a_child_of_an_import_that_ends_is_none_of_the_cells(
    variables: dict[str, str], job: Make, tmp_path: Path
) -> None:
    own = {**variables, "AT_IMPORT": "child"}
    with Template(Path(sys.executable), job().adapter, own, tmp_path / "log.txt") as template:
        assert template.run(job(), 60).status == "finished"


@pytest.mark.slow
def test_a_template_that_is_killed_in_its_import_is_said_to_be(
    variables: dict[str, str], job: Make, tmp_path: Path
) -> None:
    own = {**variables, "AT_IMPORT": "die"}
    said = pytest.raises(TemplateFailed, match=r"failed: the template process was killed by SIGKILL$")
    with Template(Path(sys.executable), job().adapter, own, tmp_path / "log.txt") as template, said:
        template.start()


STRANGE = (
    "hello\n", "x" * 100_000, "[" * 100_000 + "\n", "[]\n", "{}\n", '{"ready": 1}\n',
    '{"ready": true}\n{"ready": true}\n', '{"id": "7", "lost": "x"}\n', '{"id": [], "lost": "x"}\n',
    '{"id": "0", "ended": [[0]], "killed": [], "timed_out": false}\n',
    '{"id": "0", "ended": 1, "killed": [], "timed_out": false}\n',
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [*STRANGE[:2], *(pytest.param(line, marks=pytest.mark.exhaustive) for line in STRANGE[2:])],
    ids=range(len(STRANGE)),
)
def test_whatever_else_comes_on_its_channel_ends_a_template_at_once(
    variables: dict[str, str], job: Make, tmp_path: Path, line: str
) -> None:
    own = {**variables, "AT_IMPORT": "say", "LINE": line, "TIMES": "1" if line.endswith("\n") else "20"}
    begun = time.monotonic()
    with Template(Path(sys.executable), job().adapter, own, tmp_path / "log.txt") as template:
        outcome = template.run(job("hang"), 60)
    assert "to the channel of its template process, which was ended" in str(outcome.reason)
    assert len(str(outcome.reason)) < 250
    assert time.monotonic() - begun < 30


def _harness(cell: Job, launcher: str, variables: dict[str, str], tmp_path: Path) -> subprocess.Popen[bytes]:
    """Another process that runs a cell, with a folder of its own for temporary files."""
    (tmp_path / "temporary").mkdir()
    arguments = [sys.executable, "-c", HARNESS, cell.dumps(), launcher, *(f"{k}={v}" for k, v in variables.items())]
    return subprocess.Popen(arguments, env={**os.environ, "TMPDIR": str(tmp_path / "temporary")})


def _noted(notes: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in notes.glob("pid-*")]


def _assert_alive(notes: Path) -> None:
    _await(lambda: _noted(notes))
    for process in _noted(notes):
        os.kill(process, 0)


def _assert_gone(notes: Path) -> None:
    assert _noted(notes)
    _await(lambda: not [p for p in _noted(notes) if Path(f"/proc/{p}").exists()])


def _await(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _wait_for_ranks(cell: Job) -> None:
    deadline = time.monotonic() + 60
    while len(list(Path(cell.trace).parent.glob("pid-*"))) < cell.scenario.window.ranks:
        assert time.monotonic() < deadline
        time.sleep(0.02)
