"""What every rank of a cell runs: `python -m adapters.inside.rank JOB.json`, or a fork of the template process."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch._C._distributed_c10d import FileStore

from adapters import expressed
from adapters.contract import CRASH, Job, Scenario, Shim, Unsupported, done_file, misplaced
from adapters.inside import keeper, modeling, numerics, patched, resumed
from adapters.inside.prepare import prepare
from adapters.inside.recorder import Enough, Recorder

RENDEZVOUS = "LOCKSTEP_RENDEZVOUS"
"""Environment variable: a private folder to meet in. Without it, the launcher has set MASTER_ADDR and MASTER_PORT."""

_INSTEAD_OF = "_lockstep_instead_of"
"""Attribute of a replaced function: the one in whose place it stands."""


class Adapter(Protocol):
    """What a module of this package that runs a framework has to offer.

    It may also have `prepare() -> None`, run once per environment before its first cell: see `adapters.inside.prepare`.
    """

    def unsupported(self, scenario: Scenario, version: str) -> str | None:
        """Why this release of the framework cannot express the scenario, naming the field; None if it can."""

    def shims(self, job: Job) -> Sequence[Shim]:
        """What `train` will change in the framework for this job."""

    def train(self, job: Job, recorder: Recorder, rank: int, world: int) -> None:
        """Run the scenario's steps: `watch`, `begin`, a `step` each, `end`. May raise Unsupported, or anything."""


def run(job: Job) -> int:
    """Run this process's rank of `job` and return an exit status. What goes wrong is written to `contract.CRASH`."""
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    scratch = Path(tempfile.gettempdir())  # now: a framework may choose another one
    if job.scenario.window.resume_after and job.part == "whole":
        code = resumed.run(job, run)
        if code == 0:  # here alone: a part of a run is not all of it, and a rank may go on no more
            _done(scratch, rank)
        return code
    torch.set_num_threads(1)
    faulthandler.register(keeper.STACKS)
    try:
        adapter = cast("Adapter", importlib.import_module(job.module))
        prepare(job.module)
        patch = patched.apply()
        trained = job.trained
        if reason := unsupported(adapter, trained.scenario, job.framework, job.version):
            raise Unsupported(reason)
        shims = adapter.shims(trained)
        if why := misplaced(shims, job.scenario.device):
            raise RuntimeError(why)
        numerics.settle(job)
        recorder = Recorder(job, rank, world, [*shims, *patch])
        with contextlib.suppress(Enough):
            adapter.train(trained, recorder, rank, world)
    except Unsupported as reason:
        write_crash(Path(job.trace), {"kind": "unsupported", "reason": str(reason)})
        return 1
    except Exception as error:  # noqa: BLE001  whatever a framework raises belongs into the trace
        traceback.print_exc()
        lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
        write_crash(Path(job.trace), {"kind": "crashed", "rank": rank, "reason": lines[-1]})
        return 1
    if job.part == "whole":
        _done(scratch, rank)
    return 0


def _done(scratch: Path, rank: int) -> None:
    with contextlib.suppress(OSError):  # whatever became of that folder, the steps are done
        (scratch / done_file(rank)).touch()


def unsupported(adapter: Adapter, scenario: Scenario, framework: str, version: str) -> str | None:
    """Why a release cannot express the scenario; None if it can. What the adapter says of it comes first, for it knows
    more."""
    if scenario.window.resume_after and RENDEZVOUS not in os.environ and "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun's ranks meet once, so they have no resume_after: run it by the template"
    return (
        adapter.unsupported(scenario, version)
        or expressed.refused(scenario, framework)
        or modeling.no_flash(scenario)
        or modeling.unknown(scenario)
    )


def init_distributed(job: Job) -> None:
    """Initialise torch.distributed as the launcher means it: gloo on the CPU, NCCL on CUDA devices.

    An engine that finds it initialised goes on with it.
    """
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    join = getattr(torch.distributed.init_process_group, _INSTEAD_OF, torch.distributed.init_process_group)
    if job.scenario.device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", rank)))
    elif sys.platform == "linux" and os.environ.get("LOCAL_WORLD_SIZE") == str(world):
        # gloo looks up the host's name otherwise, which in a container may resolve to nothing
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    backend = "nccl" if job.scenario.device == "cuda" else "gloo"
    if folder := os.environ.get(RENDEZVOUS):
        store = FileStore(str(Path(folder) / f"store-{job.part}"), world)
        join(backend, store=store, rank=rank, world_size=world)
    else:
        join(backend)


def answer_init_process_group(job: Job) -> None:
    """Let `torch.distributed.init_process_group`, whichever framework calls it with whatever, do `init_distributed`.

    For frameworks that insist on a call of their own, with NCCL or with a MASTER_ADDR. Where they only look at those
    variables, there is something to see: nothing listens there.
    """

    def init_process_group(*_: Any, **__: Any) -> None:
        init_distributed(job)

    setattr(init_process_group, _INSTEAD_OF, torch.distributed.init_process_group)
    torch.distributed.init_process_group = init_process_group
    os.environ.setdefault("MASTER_ADDR", "localhost")
    os.environ.setdefault("MASTER_PORT", "0")


def write_crash(trace: Path, content: dict[str, Any]) -> None:
    """Leave `content` as the trace's crash file, unless another rank was first."""
    with tempfile.NamedTemporaryFile("w", dir=trace, suffix=".partial") as whole:
        json.dump(content, whole)
        whole.flush()
        try:
            os.link(whole.name, trace / CRASH)
        except FileExistsError:
            return


def redirect_output(log: Path) -> None:
    """Let stdout and stderr of this process, and of what it starts, go to the end of `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)


def main() -> int:
    """Entry point under torchrun: the only argument is the file of the job."""
    job = Job.loads(Path(sys.argv[1]).read_text())
    redirect_output(Path(job.trace) / log_file(int(os.environ["RANK"])))
    return run(job)


def log_file(rank: int) -> str:
    """What a rank printed; beside the trace, not part of it."""
    return f"log-r{rank:02d}.txt"


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # As a rank of a template ends: gloo's threads may abort a process that is torn down while another one is gone.
    os._exit(status)
