"""Slurm's own programs: submitting by submitit, looking by squeue, cancelling by scancel.

What has become of a job is not asked of sacct, as submitit does, since many sites keep no accounts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import processes
from harness.launch.multinode.machines import HOST, Machine

PROGRAMS = ("sbatch", "srun", "squeue", "scancel")
UNREACHABLE = ("Unable to contact slurm controller", "Socket timed out", "Zero Bytes were transmitted")
"""What they say where the controller does not answer, as while it is being restarted."""
ENDED = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
)  # fmt: skip
PATIENCE = 60.0
"""Seconds that squeue may take: without a controller it tries for a while."""
CANCELLING = 5.0
"""Seconds for scancel, which must not keep an interrupted run alive."""


class NoSlurm(Exception):
    """There is no Slurm here; the message is one line with the remedy."""


class Refused(Exception):
    """Slurm does not take a job; the message is its own, in one line."""


class Unreachable(Exception):
    """The controller does not answer now."""


@dataclass(frozen=True)
class Allocation:
    """What each job asks for, for one environment's cells."""

    nodes: int = 1
    """Most jobs at once."""
    nnodes: int = 1
    """Nodes of each job. With more than one, each cell is spread over all of them."""
    time: str = "60"
    """As sbatch reads it: minutes, or H:MM:SS."""
    cpus: int | None = None
    """Cores of each job; None: two for each cell at once."""
    partition: str | None = None
    account: str | None = None
    gres: str | None = None
    sbatch: tuple[str, ...] = ()
    """Further options of sbatch, such as `--qos=Q`."""
    srun: tuple[str, ...] = ()
    """Options of the srun that starts the worker, such as `--container-image=I`."""
    prolog: tuple[str, ...] = ()
    """Lines of the shell before it, such as `module load M`."""
    builds: Path | None = None
    """Folder of each node in which its jobs build their environments; None: all nodes see those that are built here."""


def check() -> None:
    """Raises NoSlurm."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        raise NoSlurm(f"--on slurm needs {', '.join(missing)}, not on PATH here; run it where jobs are submitted")


class Jobs:
    """All jobs of one name, which nobody else's have."""

    def __init__(self, name: str) -> None:
        self.name = name

    def submit(
        self,
        folder: Path,
        allocation: Allocation,
        cells: int,
        work: Callable[..., None],
        *of: Any,
        everywhere: bool = False,
    ) -> str:
        """Have `work(*of)` run by a job, for so many cells at once, and return its number; its logs lie in `folder`.

        `everywhere`: on each of its nodes, instead of one.

        Raises Refused and Unreachable.
        """
        import submitit

        logging.getLogger("submitit").handlers.clear()  # it would print to stdout
        # -P: nothing of the folder that the command was typed in is imported
        executor = submitit.SlurmExecutor(folder, python=f"{shlex.quote(sys.executable)} -P")
        cpus = allocation.cpus or 2 * cells
        # the worker is on one of them, whose launcher reaches the others
        many = {"nodes": allocation.nnodes, "ntasks_per_node": 1} if allocation.nnodes > 1 else {}
        alone = ["--nodes=1", "--ntasks=1"] if many and not everywhere else []
        executor.update_parameters(
            job_name=self.name,
            cpus_per_task=cpus,
            partition=allocation.partition,
            account=allocation.account,
            gres=allocation.gres,
            setup=list(allocation.prolog),
            # srun does not ask for the cores of its job by itself since Slurm 22.05
            srun_args=[f"--cpus-per-task={cpus}", *alone, *allocation.srun],
            **many,
            stderr_to_stdout=True,
            # a job that Slurm starts again by itself would come beside the one that stands in for it
            additional_parameters={"time": allocation.time, "no-requeue": True, **_options(allocation.sbatch)},
        )
        try:
            return str(executor.submit(work, *of).job_id)
        except submitit.core.utils.FailedJobError as error:
            lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in str(error).splitlines()]
            said = f"sbatch: {'; '.join(lines)}"
            raise (Unreachable if any(words in said for words in UNREACHABLE) else Refused)(said) from None

    def states(self) -> dict[str, str] | None:
        """The state of each job by its number, as Slurm knows it, which forgets old ones; None without an answer."""
        # several users may have jobs of one name
        command = ["squeue", "--noheader", "--states=all", f"--name={self.name}", "--format=%A|%T|%r", *_mine()]
        try:
            done = processes.run(command, os.environ, timeout=PATIENCE)
        except processes.TimedOut:
            return None
        if done.code != 0:
            return None
        lines = (line.split("|") for line in done.output.splitlines() if line.count("|") == 2)
        return {number: state if why in ("None", "") else f"{state}, {why}" for number, state, why in lines}

    def cancel(self, waiting: bool = False) -> None:
        """End all of them, or those that `waiting` for a node; where Slurm does not answer, nothing is done."""
        only = ["--state=PENDING"] if waiting else []
        with contextlib.suppress(processes.TimedOut):
            processes.run(["scancel", f"--name={self.name}", *_mine(), *only], os.environ, timeout=CANCELLING)


def reach(options: Sequence[str]) -> tuple[str, ...]:
    """What runs a command on another node of the job that this runs in, with these options of srun."""
    return ("srun", "--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={HOST}", *options)


def machines() -> tuple[Machine, ...]:
    """The nodes of the job that this runs in; this one is the first. Raises Unreachable."""
    nodes, own = os.environ["SLURM_JOB_NODELIST"], os.environ["SLURMD_NODENAME"]
    command = ["sinfo", "--noheader", "--Node", f"--nodes={nodes}", "--format=%N|%o"]
    try:
        done = processes.run(command, os.environ, timeout=PATIENCE)
    except processes.TimedOut:
        raise Unreachable(f"sinfo says nothing of {nodes}") from None
    found = dict(line.strip().split("|") for line in done.output.splitlines() if line.count("|") == 1)
    if own not in found:
        raise Unreachable(f"sinfo does not name {own} among {nodes}: {done.errors.strip() or done.output.strip()}")
    every = [Machine(name, address, here=name == own) for name, address in found.items()]
    return tuple(sorted(every, key=lambda machine: not machine.here))


def alive(states: Mapping[str, str]) -> set[str]:
    """The numbers of the jobs that have not ended."""
    return {number for number, state in states.items() if state.split(",")[0] not in ENDED}


def _mine() -> list[str]:
    return [f"--user={os.getuid()}"]


def _options(given: tuple[str, ...]) -> dict[str, str | bool]:
    pairs = (option.removeprefix("--").partition("=") for option in given)
    return {name: value if equals else True for name, equals, value in pairs}
