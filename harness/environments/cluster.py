"""What a machine of a cluster has: cards and their driver, NCCL, Slurm, and folders that other machines see too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from harness.environments import mounts
from harness.environments.probe import GIB, Probe

PATIENCE = 20.0
"""Seconds for a program to answer; torch from a slow file system takes longest."""
SCRATCH_NEEDED = 2 * GIB
"""An allowance for the traces and temporary files of a run; a cell of the catalogue takes some MiB."""

_DRIVER = Path("/proc/driver/nvidia/version")
_TORCH = """
import torch
count = torch.cuda.device_count()
nccl = torch.cuda.nccl.version() if torch.version.cuda else ()
print(torch.__version__, torch.version.cuda, ".".join(map(str, nccl)), count, sep="|")
"""


def probes(root: Path) -> list[Probe]:
    """What a run on a cluster needs or could use. `root`: the folder of environments."""
    return [_driver(), _torch(), _slurm(), *(_folder(name, path) for name, path in _folders(root)), _scratch()]


def _folders(root: Path) -> list[tuple[str, Path]]:
    return [("files of environments", root), ("files of this folder", Path.cwd())]


def _driver() -> Probe:
    """The driver, and the cards as it tells them."""
    told = _answer(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    cards = [line for line in told.splitlines() if line.strip()] if told is not None else []
    found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", _DRIVER.read_text()) if _DRIVER.exists() else None
    there = found is not None or bool(cards)
    says = f"driver {found[1]}" if found else "an NVIDIA driver" if there else "no NVIDIA driver"
    kinds = "; ".join(f"{cards.count(card)} x {card}" for card in dict.fromkeys(cards))
    return Probe(
        "CUDA",
        there,
        ", ".join(filter(None, [says, kinds, "`make gpu-check` tries it in 8 minutes" if there else ""])),
        "only scenarios with device = cuda need it",
        required=False,
    )


def _torch() -> Probe:
    """CUDA and NCCL as this Python has them; torch itself is asked where there is a driver, for that takes seconds."""
    remedy = "the harness itself needs none; an environment gets the one of its lock"
    name = "torch"
    try:
        own = version("torch")
    except PackageNotFoundError:
        return Probe(name, False, "not installed for this Python", "run `make setup`")
    told = _answer([sys.executable, "-c", _TORCH]) if _DRIVER.exists() else None
    if told is not None and told.count("|") == 3:
        build, cuda, its, count = told.strip().split("|")
        cards = f"{count} card{'s' * (count != '1')} seen by it"
        return Probe(name, its != "", f"{build}, CUDA {cuda}, NCCL {its or 'none'}, {cards}", remedy, required=False)
    nccl = next((each.version for each in distributions() if (each.name or "").startswith("nvidia-nccl-")), None)
    says = f"NCCL {nccl}" if nccl else "no NCCL comes with it: ranks on a CPU talk by gloo"
    return Probe(name, True, f"{own}, {says}", remedy, required=False)


def _slurm() -> Probe:
    remedy = "only runs by Slurm need it; load its module, or start from a login node"
    if shutil.which("sinfo") is None or shutil.which("srun") is None:
        return Probe("Slurm", False, "no sinfo and srun on PATH", remedy, required=False)
    told = _answer(["sinfo", "--noheader", "--format=%P %a %D"])
    release = (_answer(["srun", "--version"]) or "Slurm of an unknown version").strip()
    if told is None:
        return Probe("Slurm", False, f"{release}, and no controller answers sinfo", remedy, required=False)
    partitions = [f"{name} ({state}, {nodes} nodes)" for name, state, nodes in map(str.split, _three(told))]
    return Probe(
        "Slurm", bool(partitions), f"{release}: {', '.join(partitions) or 'no partition'}", remedy, required=False
    )


def _three(told: str) -> list[str]:
    return [line for line in dict.fromkeys(told.splitlines()) if len(line.split()) == 3]


def _folder(name: str, path: Path) -> Probe:
    mount = mounts.of(path)
    if mount is None:
        return Probe(name, True, f"{path}: nobody tells its file system", required=False)
    if not mount.shared:
        return Probe(name, True, f"{path} is on {mount.kind} of this machine, which others do not see", required=False)
    says = mounts.locks(mount)
    ok = says not in (mounts.HERE, mounts.NONE)
    remedy = "let it be mounted with cluster-wide locks, or choose a folder on another file system"
    return Probe(name, ok, f"{path} is on {mount.kind}, shared: {says}", remedy, required=says == mounts.NONE)


def _scratch() -> Probe:
    path = Path(tempfile.gettempdir())
    free = shutil.disk_usage(path).free
    mount = mounts.of(path)
    shared = mount is not None and mount.shared
    says = f"{free / GIB:.1f} GiB free in {path}" + (f", on {mount.kind}, shared" if mount and shared else "")
    remedy = f"set TMPDIR, or scratch in a site file, to a folder of this machine with {SCRATCH_NEEDED // GIB} GiB free"
    return Probe("scratch", free >= SCRATCH_NEEDED and not shared, says, remedy, required=False)


def _answer(command: Sequence[str]) -> str | None:
    """What a program prints; None where it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=os.sep)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
