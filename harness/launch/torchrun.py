"""Cells by torchrun, each from a cold start: what clusters and GPU nodes use, and the check on the template."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from adapters.contract import Job
from harness.launch.outcome import Ending, Outcome, conclude
from harness.launch.pythonpath import adapters_alone
from harness.launch.variables import child_environment

PATIENCE = 5.0
"""Seconds that the keeper has to end its processes and itself."""

LOG = "log-torchrun.txt"
"""What torchrun printed, in the folder of the trace."""

_ROOT_CAUSE = re.compile(r"Root Cause.*?rank\s*:\s*(\d+).*?exitcode\s*:\s*(-?\d+)", re.DOTALL)


def run(python: Path, variables: Mapping[str, str], job: Job, timeout: float) -> Outcome:
    """Run a cell for at most `timeout` seconds, not counting what is compiled once in an environment.

    Only ranks that torchrun names have an exit code.
    """
    trace = Path(job.trace).resolve()
    job = dataclasses.replace(job, trace=str(trace), checkpoint=str(Path(job.checkpoint).resolve()))
    with adapters_alone() as path:
        environment = child_environment(python, variables, path)
        prepared = _prepare(python, environment, job.adapter, path, trace / LOG)
        begun = time.monotonic()
        scratch = tempfile.mkdtemp(prefix="lockstep-")
        try:
            ending = _keep(python, {**environment, "TMPDIR": scratch}, job, scratch, timeout) if prepared else None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if ending is None:
        ending = Ending(lost=f"preparing {job.adapter} failed")
    return conclude(trace, ending, timeout, time.monotonic() - begun)


def _prepare(python: Path, environment: Mapping[str, str], adapter: str, path: Path, log: Path) -> bool:
    """What `adapters.prepare` does, unless its stamp says that it was done."""
    extensions = environment.get("TORCH_EXTENSIONS_DIR")
    if extensions is not None and (Path(extensions) / f"prepared-{adapter}").exists():
        return True
    with log.open("ab") as out:
        command = [str(python), "-m", "adapters.prepare", adapter]
        return subprocess.run(command, env=environment, cwd=path, stdout=out, stderr=out, check=False).returncode == 0


def _keep(python: Path, environment: Mapping[str, str], job: Job, scratch: str, timeout: float) -> Ending:
    """torchrun below `adapters.keeper`, which ends all of it when this process closes its socket, or ends."""
    file = Path(scratch) / "job.json"
    file.write_text(job.dumps())
    ours, theirs = socket.socketpair()
    keep = [str(python), "-m", "adapters.keeper", str(theirs.fileno()), str(timeout)]
    launch = [str(python), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(job.scenario.ranks)]
    with ours, theirs, (Path(job.trace) / LOG).open("ab") as out:
        keeper = subprocess.Popen(
            [*keep, *launch, "-m", "adapters.rank", str(file)],
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        try:
            ours.settimeout(timeout + PATIENCE)
            said = _line(ours)
        finally:
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(PATIENCE)
            keeper.kill()
            keeper.wait()
    if said is None:
        return Ending(lost="the process that keeps torchrun has ended")
    answer = json.loads(said)
    if answer["timed_out"]:
        return Ending(killed=tuple(range(job.scenario.ranks)), timed_out=True)
    return Ending(_codes(job, answer["ended"][0][1]))


def _line(channel: socket.socket) -> bytes | None:
    with contextlib.suppress(OSError), channel.makefile("rb") as lines:
        return lines.readline() or None
    return None


def _codes(job: Job, code: int) -> tuple[tuple[int, int], ...]:
    """Exit codes by rank: all 0 with torchrun's own, else that of the rank that torchrun says failed first."""
    if code == 0:
        return tuple((rank, 0) for rank in range(job.scenario.ranks))
    said = (Path(job.trace) / LOG).read_text(errors="replace")
    found = _ROOT_CAUSE.search(said)
    return ((int(found[1]), int(found[2])),) if found else ((0, code),)
