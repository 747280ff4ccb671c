"""A framework that misbehaves on demand, run by this very interpreter."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import scenarios
from adapters.contract import Job, vary
from harness.launch.template import Template

ADAPTER = "misbehaving_sft"

SOURCE = '''
import os, signal, stat, subprocess, sys, time
from pathlib import Path
import torch
from adapters.inside.rank import init_distributed

def daemon(note):
    """A process in a session of its own whose parents have ended."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(3, 256)
            Path(note, f"pid-{os.getpid()}").touch()
            time.sleep(600)
        os._exit(0)

def at_import():
    how = os.environ.get("AT_IMPORT")
    if how == "daemon":
        daemon(os.environ["NOTES"])
    if how == "child":
        subprocess.Popen(["true"])
    if how == "hang":
        Path(os.environ["NOTES"], f"pid-{os.getpid()}").touch()
        time.sleep(600)
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "say":
        write_to_sockets(os.environ["LINE"].encode() * int(os.environ["TIMES"]))

def write_to_sockets(line):
    for fd in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, line)
        except OSError:
            pass

at_import()

def unsupported(scenario, version):
    return "misbehaving 1 has no sharding" if scenario.sharding.strategy != "none" else None

def shims(job):
    return []

def prepare():
    print("preparing")

def note_pid(job, process):
    (Path(job.trace).parent / f"pid-{process}").touch()

def train(job, recorder, rank, world):
    note_pid(job, os.getpid())
    print(f"rank {rank} of {world} in {os.getcwd()}")
    act = globals().get(f"do_{job.fault}", lambda *_: None)
    act(job, rank)
    init_distributed(job)
    value = torch.ones(3) * (rank + 1)
    torch.distributed.all_reduce(value)
    recorder.begin({"w": value})
    recorder.step(1.0, None, 0.1, {"w": value + 1}, {"w": value}, {"w": value})
    recorder.end()

def do_raise(job, rank):
    if rank == 1:
        raise ValueError("planted")

def do_kill(job, rank):
    if rank == 1:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)

def do_kill_late(job, rank):
    init_distributed(job)
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    torch.distributed.barrier()

def do_exit(job, rank):
    sys.exit(3)

def do_hang(job, rank):
    if rank == 0:
        time.sleep(600)

def nap(job, rank, seconds):
    if rank == 0:
        Path(job.trace + "-naps").touch()
    time.sleep(seconds)

def do_nap_short(job, rank):
    nap(job, rank, 1)

def do_nap(job, rank):
    nap(job, rank, 5)

def do_nap_exit(job, rank):
    time.sleep(10)
    sys.exit(3)

def do_nap_long(job, rank):
    nap(job, rank, 600)

def do_print(job, rank):
    print("x" * 1000 * 1000)
    os.write(2, b"last words")

def do_orphan(job, rank):
    """A grandchild in a session of its own whose parent ends."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note_pid(job, os.getpid())
            time.sleep(600)
        os._exit(0)
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    note_pid(job, process.pid)

def do_silent(job, rank):
    os._exit(0)

def do_leave(job, rank):
    """Its peer notices that it is gone, and complains."""
    init_distributed(job)
    if rank == 1:
        os._exit(0)
    torch.distributed.barrier()

def do_leave_late(job, rank):
    if rank == 1:
        os._exit(0)
    time.sleep(600)

def do_write(job, rank):
    write_to_sockets(b"hello\\n")

def do_kill_keeper(job, rank):
    if rank == 1:
        os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)

def do_tell_variables(job, rank):
    Path(job.trace, f"variables-{rank}").write_text("".join(f"{k}={v}\\n" for k, v in os.environ.items()))
'''


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of an environment that has the misbehaving framework."""
    folder = tmp_path_factory.mktemp("framework")
    (folder / f"{ADAPTER}.py").write_text(SOURCE)
    return {"PYTHONPATH": str(folder), "TORCH_EXTENSIONS_DIR": str(folder / "extensions")}


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """A job that goes wrong as told; each call has a trace folder of its own."""

    def make(how: str | None = None, **changes: object) -> Job:
        trace = tmp_path / f"cell-{len(list(tmp_path.iterdir()))}" / "trace"
        trace.mkdir(parents=True)
        scenario = vary(scenarios.get("sft-ragged"), **changes)
        return Job(ADAPTER, "misbehaving", "1", scenario, str(tmp_path), str(trace), fault=how)

    return make


@pytest.fixture(scope="module")
def template(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    log = tmp_path_factory.mktemp("template") / "log.txt"
    with Template(Path(sys.executable), ADAPTER, variables, log) as running:
        running.start()
        yield running


@pytest.fixture
def survivors() -> Callable[[Job], list[int]]:
    """Processes of a cell that are still there a moment after its end."""

    def look(of: Job) -> list[int]:
        noted = [int(p.name.partition("-")[2]) for p in Path(of.trace).parent.glob("pid-*")]
        assert noted
        deadline = time.monotonic() + 3.0
        while (alive := [p for p in noted if _alive(p)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        return alive

    return look


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
