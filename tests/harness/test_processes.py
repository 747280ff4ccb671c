"""Kept commands: whatever they start ends with them, and they end with who started them."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import processes
from harness.processes import Kept, TimedOut, TooMuchOutput, run
from tests.harness.processes import children

DAEMON = """
import os, sys, time
from pathlib import Path
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        Path(sys.argv[1], f"pid-{os.getpid()}").touch()
        time.sleep(600)
    os._exit(0)
while not list(Path(sys.argv[1]).glob("pid-*")):
    time.sleep(0.01)
exec(sys.argv[2])
"""
"""Starts a daemon that notes its process id, and then does as told."""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def daemon(notes: Path, then: str) -> list[str]:
    return [sys.executable, "-c", DAEMON, str(notes), then]


def alive(notes: Path) -> list[int]:
    noted = [int(path.name.partition("-")[2]) for path in notes.glob("pid-*")]
    assert noted
    return [process for process in noted if Path(f"/proc/{process}").exists()]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_it_prints_and_how_it_ends() -> None:
    code = "import sys; print(sys.stdin.read().upper()); print('oh', file=sys.stderr); sys.exit(3)"
    done = run([sys.executable, "-c", code], {}, stdin="said")
    assert (done.code, done.output, done.errors) == (3, "SAID\n", "oh\n")


def test_it_has_the_variables_that_it_is_given_and_no_others() -> None:
    done = run(["/usr/bin/env"], {"ONE": "1", "LC_ALL": "C.UTF-8"})
    assert sorted(done.output.splitlines()) == ["LC_ALL=C.UTF-8", "ONE=1"]


def test_a_signal_is_told() -> None:
    assert run(["/bin/sh", "-c", "kill -9 $$"], {}).code == -signal.SIGKILL


@pytest.mark.parametrize("command", ["/none/such", "/etc/passwd"])
def test_what_cannot_be_run_is_told(command: str) -> None:
    done = run([command], {})
    assert done.code == 126
    assert done.errors.startswith(f"{command} cannot be run: ")


def test_a_daemon_ends_with_the_command(notes: Path) -> None:
    assert run(daemon(notes, "print('done')"), {}).output == "done\n"
    assert alive(notes) == []


def test_a_daemon_ends_with_a_command_that_takes_too_long(notes: Path) -> None:
    with pytest.raises(TimedOut):
        run(daemon(notes, "time.sleep(600)"), {}, timeout=1.0)
    assert alive(notes) == []


def test_a_daemon_ends_with_a_command_that_is_closed(notes: Path) -> None:
    kept = Kept(daemon(notes, "time.sleep(600)"), {})
    wait_until(lambda: list(notes.iterdir()))
    assert len(alive(notes)) == 1
    kept.close()
    assert alive(notes) == []
    kept.close()


def test_a_command_that_another_thread_closes_ends_as_killed() -> None:
    def close_soon(kept: Kept) -> None:
        threading.Timer(0.2, kept.close).start()

    assert run(["/bin/sleep", "600"], {}, started=close_soon).code == -signal.SIGKILL


@pytest.mark.parametrize("stream", [1, 2])
def test_what_prints_without_end_is_ended_and_not_kept_in_memory(stream: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooMuchOutput):
        run(["/bin/sh", "-c", f"yes >&{stream}"], {"PATH": os.environ["PATH"]})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * processes.LARGEST / 1024


OWNER = """
import sys
from pathlib import Path
from harness.processes import Kept
kept = Kept(sys.argv[2:], {}, folder=Path(sys.argv[1]))
print("started", flush=True)
kept.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_all_of_it_ends_with_who_started_it_and_its_folder_goes(notes: Path, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    command = [sys.executable, "-c", OWNER, str(folder), *daemon(notes, "time.sleep(600)")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as owner:
        wait_until(lambda: list(notes.iterdir()))
        owner.send_signal(number)
    wait_until(lambda: not alive(notes) and not folder.exists())


def test_a_command_and_its_daemons_end_with_a_keeper_that_is_killed(notes: Path, tmp_path: Path) -> None:
    kept = Kept(daemon(notes, "time.sleep(600)"), {"TMPDIR": str(tmp_path / "scratch")}, folder=tmp_path)
    wait_until(lambda: list(notes.iterdir()))
    (adopted,) = alive(notes)
    (command,) = set(children(kept.keeper.pid)) - {adopted}
    kept.keeper.kill()
    assert kept.wait() == processes.Ended(None)
    wait_until(lambda: not Path(f"/proc/{command}").exists())
    assert alive(notes) == [adopted]
    kept.close()
    wait_until(lambda: not alive(notes))
