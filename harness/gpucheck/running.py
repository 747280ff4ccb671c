"""One part of `make gpu-check`: commands of Lockstep within a time, and what became of them."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import files
from harness.gpucheck.parts import Part, Trained
from harness.processes import Kept
from harness.traces import text_files
from harness.traces.text_files import UnreadableTrace
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, UnreadableVerdict

LEAST = 20.0
"""Seconds below which a part is not begun."""
ENDING = 10.0
"""Seconds that a part keeps for what is written of a cell that did not end in time."""
AT_ONCE = 4
"""Cells on one device: a torch of its own each, and models of 70 thousand parameters."""
STEPS = "2-3"
"""Those of the recorded training: the first ones are slow."""
LOG_TAIL = 64 * 1024

Outcome = Literal["pass", "found", "FAIL", "unknown", "unsupported"]
UNKNOWN_STATUS, DIVERGES = 3, 1
RECORDING = "recording"


@dataclass(frozen=True)
class Machine:
    """What the parts run on."""

    device: Literal["cpu", "cuda"]
    ranks: int
    """Of a cell; the recorded training takes every device."""
    devices: int
    python: Path
    """Of Lockstep."""
    own: Mapping[str, Path]
    """By name of a part, an interpreter that has its framework; of the others an environment is built."""


@dataclass(frozen=True)
class Result:
    """A line of the table."""

    part: str
    what: str
    outcome: Outcome
    says: str
    seconds: float
    peak: int | None = None
    """Bytes of memory."""
    cells: tuple[CellRecord, ...] = ()
    """Their traces are relative to the folder of the parts."""


def cells(part: Part, machine: Machine, folder: Path, seconds: float) -> Result:
    """A framework on its scenarios, for so long at most."""
    out = folder / part.name.replace(" ", "-")
    own = machine.own.get(part.name)
    framework = part.framework if own is None else f"{part.framework.partition('==')[0]}@{own}"
    options = ["--device", machine.device, "--launcher", "torchrun", "--ranks", str(machine.ranks)]
    options += ["--jobs", str(at_once()), "--timeout", str(round(max(1, seconds - ENDING))), "--out", str(out)]
    chosen = [word for scenario in part.scenarios for word in ("--scenario", scenario)]
    begun = time.monotonic()
    run(machine, ["run", "--framework", framework, *chosen, *options], log_of(folder, part.name), seconds)
    spent = time.monotonic() - begun
    try:
        found = verdict.read(out).cells
    except UnreadableVerdict:
        said = last_line(log_of(folder, part.name))
        return Result(part.name, part.framework, "unknown", f"no verdict: {said}", spent)
    mine = tuple(replace_trace(cell, out, folder) for cell in found)
    what = ", ".join(dict.fromkeys(f"{cell.framework} {cell.version}" for cell in mine)) or part.framework
    outcome, says = judged(part, mine)
    return Result(part.name, what, outcome, says, spent, peak(mine, folder), mine)


def replace_trace(cell: CellRecord, out: Path, folder: Path) -> CellRecord:
    """The cell, with its trace named from the folder of all parts."""
    trace = None if cell.trace is None else (out.relative_to(folder) / cell.trace).as_posix()
    return cell.model_copy(update={"trace": trace})


def judged(part: Part, found: Sequence[CellRecord]) -> tuple[Outcome, str]:
    """What the cells come to, held against what has to come."""
    counts = Counter(cell.verdict for cell in found)
    told = [f"{counts[name]} {name}" for name in ("pass", "fail", "accepted", "unknown", "unsupported") if counts[name]]
    missing = len(part.scenarios) - len(found)
    told += [f"{missing} not run in time"] if missing > 0 else []
    told += [f"{cell.label}: {cell.reason}" for cell in found if cell.reason]
    says = "; ".join(told)
    if part.cause is not None:
        causes = {diagnosis.cause for cell in found for diagnosis in cell.diagnoses}
        if part.cause in causes:
            return "found", f"{says}: {part.cause}"
        return ("unknown" if counts["unknown"] or missing > 0 else "FAIL"), f"{says}; {part.cause} was not found"
    if counts["fail"]:
        wrong = [f"{cell.label}: {d.summary}" for cell in found if cell.verdict == "fail" for d in cell.diagnoses[:1]]
        return "FAIL", "; ".join([says, *wrong])
    if counts["unsupported"] == len(part.scenarios):
        return "unsupported", says
    if counts["unknown"] or missing > 0 or not counts["pass"] + counts["accepted"]:
        return "unknown", says
    return "pass", says


def peak(found: Sequence[CellRecord], folder: Path) -> int | None:
    """Bytes that one rank took at most in any step: of the device, or of the machine where there is none."""
    most: list[int] = []
    for trace in (folder / cell.trace for cell in found if cell.trace is not None):
        try:
            lines = text_files.memory(trace)
        except UnreadableTrace:
            continue
        most += [line.resident if line.reserved is None else line.reserved for line in lines]
    return max(most, default=None)


def recorded(trained: Trained, machine: Machine, folder: Path, seconds: float) -> Result:
    """A training that is recorded, and what the recording tells."""
    begun = time.monotonic()
    out, log = folder / RECORDING, log_of(folder, RECORDING)
    shutil.rmtree(out, ignore_errors=True)
    launch = [str(machine.python), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    training = [*launch, str(machine.devices), "-m", "harness.trial.fsdp2", *trained.options]
    status = run(machine, ["record", "--steps", STEPS, "--out", str(out), "--", *training], log, seconds)
    size, memory = trained_of(log)
    what = f"FSDP2, bf16, {size}"
    if status != 0:
        why = "not done in time" if status is None else f"status {status}: {last_line(log)}"
        return Result(RECORDING, what, "unknown", why, time.monotonic() - begun, memory)
    left, told = seconds - (time.monotonic() - begun), log_of(folder, "judged")
    status = run(machine, ["judge", str(out)], told, max(LEAST, left))
    if status is None:
        return Result(RECORDING, what, "unknown", "recorded, and not judged in time", time.monotonic() - begun, memory)
    outcome: Outcome = "pass" if status == 0 else "FAIL" if status == DIVERGES else "unknown"
    return Result(RECORDING, what, outcome, sentence(told), time.monotonic() - begun, memory)


def trained_of(log: Path) -> tuple[str, int | None]:
    """How large the model was, and bytes of the device at most, by what the training printed of its steps."""
    text = tail(log)
    sizes = re.findall(r"([\d.]+ M parameters on \d+ \w+ ranks)", text)
    memory = [float(number) for number in re.findall(r" s, ([\d.]+) GiB, ", text)]
    return (sizes[-1] if sizes else "a size that nobody told"), (math.ceil(max(memory) * 2**30) if memory else None)


def sentence(log: Path) -> str:
    """What `lockstep judge` says of a recording's weights."""
    lines = [line.strip() for line in tail(log).splitlines() if line.strip()]
    return next((line for line in lines if "token" in line and "weigh" in line), lines[-1] if lines else "nothing")


def at_once() -> int:
    """Cells that this machine starts together."""
    return max(1, min(AT_ONCE, (os.cpu_count() or 1) // 2))


def log_of(folder: Path, name: str) -> Path:
    """What a part printed."""
    return folder / f"{name.replace(' ', '-')}.log"


def run(machine: Machine, arguments: Sequence[str], log: Path, seconds: float) -> int | None:
    """A command of Lockstep; its status, or None where it was ended for its time. What it prints goes to the log."""
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if machine.device == "cpu" else {}
    with log.open("ab") as out:
        command = [str(machine.python), "-m", "harness", *arguments]
        kept = Kept(command, {**os.environ, "NO_COLOR": "1", **hidden}, timeout=seconds, stdout=out, stderr=out)
        try:
            return kept.wait().code
        finally:
            kept.close()


def last_line(log: Path) -> str:
    """Of what a part printed."""
    lines = [line.strip() for line in tail(log).splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def tail(log: Path) -> str:
    """The end of a log."""
    return files.tail(log, LOG_TAIL).decode(errors="replace") if log.exists() else ""


def late(part: str, what: str) -> Result:
    """A part for which no time was left."""
    return Result(part, what, "unknown", "not run: no time was left; give it more with MINUTES=N", 0.0)
