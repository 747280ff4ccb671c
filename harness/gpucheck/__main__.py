"""`make gpu-check`, once `start` has found a Python for it: runs the parts, prints a table, keeps all in one folder.

A part that fails or takes too long is told, and the next is run. Exit status: 0 all as it has to be, 1 something was
wrong, or what is known to be wrong was not found, 2 no CUDA device, 3 something is not known.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import files
from harness.gpucheck import floors, running, table
from harness.gpucheck.parts import BILLION, KNOWN_BAD, LAST, MINUTES, PARTS, SLOWER, SMALL, Part
from harness.gpucheck.running import LEAST, Machine, Result
from harness.gpucheck.start import NO_CARD
from harness.verdicts import verdict
from harness.verdicts.verdict import Verdict
from harness.version import own_version

WORK = Path(".runs/gpu/work")
"""Everything that the parts write, traces and environments' logs."""
OUT = Path(".runs/gpu")
PAGE, DETAILS, DOCTOR = "gpu.md", "details.tar.gz", "doctor.txt"
DOCTOR_SECONDS = 45.0
KEPT_FREE = 30.0
"""Seconds of all of them, for judging what passed once more, and writing."""
TOLD = ("torch", "transformers", "accelerate", "trl", "deepspeed", "triton", "datasets", "pyarrow")
MOST_DETAILS = 15 * 2**20
"""Bytes of one file that is brought home."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, and write what they found."""
    options = _options(arguments)
    devices = _devices(options.device)
    if devices == 0:
        print("lockstep: no CUDA device here; run make gpu-check where there is one", file=sys.stderr)
        return NO_CARD
    begun = time.monotonic()
    deadline = begun + options.minutes * 60 - KEPT_FREE
    machine = Machine(options.device, min(devices, 2), devices, Path(sys.executable), _own(options))
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    options.out.mkdir(parents=True, exist_ok=True)
    _tell("what this machine has")
    running.run(machine, ["doctor"], WORK / DOCTOR, DOCTOR_SECONDS)
    results: list[Result] = []
    for result in _parts(machine, options.part, deadline):
        results.append(result)
        _tell(f"{result.part}: {result.outcome} after {result.seconds:.0f} s: {result.says}")
    cells = [cell for result in results for cell in result.cells]
    about, spent = _about(machine), time.monotonic() - begun
    verdict.write(Verdict(lockstep=own_version(), cells=cells, complete=True), options.out)
    # before floors are measured, which takes a while: somebody may take the machine away
    files.replace(options.out / PAGE, table.page(about, results, {}, spent, options.device))
    shutil.copyfile(WORK / DOCTOR, options.out / DOCTOR)
    _pack(results, options.out / DETAILS)
    found = floors.measure(cells, WORK)
    floors.write(floors.device_of(cells, WORK), found, options.out)
    page = table.page(about, results, found, spent, options.device)
    files.replace(options.out / PAGE, page)
    print(page)
    print(f"all of it: {options.out}")
    outcomes = {result.outcome for result in results}
    return running.DIVERGES if "FAIL" in outcomes else running.UNKNOWN_STATUS if "unknown" in outcomes else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make gpu-check", description=(__doc__ or "").splitlines()[0])
    names = [*(part.name for part in PARTS), running.RECORDING, LAST.name]
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu: to try the way there")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or OUT), help="folder for what is found")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for all of it, by default {MINUTES:g}")
    parser.add_argument("--part", action="append", choices=names, help="may be repeated; by default all")
    parser.add_argument("--python", type=Path, help="the interpreter that has the newest frameworks")
    parser.add_argument("--known-bad", type=Path, help=f"the one that has {KNOWN_BAD}")
    options = parser.parse_args(arguments)
    if not 0 < options.minutes <= 24 * 60:
        parser.error(f"argument --minutes: {options.minutes:g} is no number of minutes, up to a day")
    return options


def _own(options: argparse.Namespace) -> dict[str, Path]:
    """Interpreters by part. Absolute, and no link is followed: that would lead out of their environments."""
    chosen = {part.name: options.known_bad if part.cause else options.python for part in (*PARTS, LAST)}
    return {name: path.absolute() for name, path in chosen.items() if path is not None}


def _devices(device: str) -> int:
    if device == "cpu":
        return 1
    import torch

    return torch.cuda.device_count()


def _parts(machine: Machine, chosen: Sequence[str] | None, deadline: float) -> Iterator[Result]:
    """One after the other, each within its time and what is left of all."""
    for part in PARTS:
        if not chosen or part.name in chosen:
            yield _cells(part, machine, deadline)
    if not chosen or running.RECORDING in chosen:
        yield _recorded(machine, deadline)
    if not chosen or LAST.name in chosen:
        yield _cells(LAST, machine, deadline)


def _cells(part: Part, machine: Machine, deadline: float) -> Result:
    seconds = min(deadline - time.monotonic(), part.seconds * (SLOWER if machine.device == "cpu" else 1.0))
    if seconds < LEAST:
        return running.late(part.name, part.framework)
    _tell(f"{part.name}: {', '.join(Path(scenario).stem for scenario in part.scenarios)}, {seconds:.0f} s at most")
    return running.cells(part, machine, WORK, seconds)


def _recorded(machine: Machine, deadline: float) -> Result:
    trained = SMALL if machine.device == "cpu" else BILLION
    seconds = min(deadline - time.monotonic(), trained.seconds)
    if seconds < LEAST:
        return running.late(running.RECORDING, "FSDP2")
    _tell(f"{running.RECORDING}: a training under FSDP2, {seconds:.0f} s at most")
    return running.recorded(trained, machine, WORK, seconds)


def _about(machine: Machine) -> dict[str, str]:
    """The card, the machine and the versions of what was run."""
    import torch

    about = {"device": "a CPU", "Python": f"{platform.python_version()} on {platform.machine()}"}
    if machine.device == "cuda":
        cuda: Any = torch.cuda  # torch has no types for its NCCL
        card, nccl = cuda.get_device_properties(0), ".".join(map(str, cuda.nccl.version()))
        about["device"] = f"{machine.devices} x {card.name}, {card.total_memory / 2**30:.0f} GiB"
        about["CUDA"] = f"{torch.version.cuda}, NCCL {nccl}"
    about["packages"] = ", ".join(f"{name} {found}" for name in TOLD if (found := _installed(name)))
    missing = [name for name in TOLD if not _installed(name)]
    if missing:
        about["not here"] = ", ".join(missing)
    if shutil.which("nvcc") is None:
        about["no nvcc"] = "what DeepSpeed compiles at first use (its own Adam) cannot be: torch's is in its place"
    return about


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _pack(results: Sequence[Result], target: Path) -> None:
    """Logs, verdicts, and traces of the cells that are not right, as one file; of the last ones, what fits."""
    wanted = [*WORK.glob("*.log"), WORK / DOCTOR, *WORK.glob("*/verdict.json"), *WORK.glob("*/logs/*")]
    wrong = [cell for result in results for cell in result.cells if cell.verdict in ("fail", "unknown")]
    wanted += [WORK / cell.trace for cell in wrong if cell.trace is not None]
    total = 0
    with tarfile.open(target, "w:gz") as out:
        for path in (each for one in wanted for each in ([one] if one.is_file() else sorted(one.rglob("*")))):
            if path.is_symlink() or not path.is_file() or total + path.stat().st_size > MOST_DETAILS:
                continue
            total += path.stat().st_size
            out.add(path, path.relative_to(WORK).as_posix(), recursive=False)


def _tell(text: str) -> None:
    print(f"lockstep: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
