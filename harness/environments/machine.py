"""What this machine can run: tools, resources, accelerators, environments already built."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from harness.environments import cluster, installer, store
from harness.environments.probe import GIB, Probe, existing

DISK_NEEDED = 4 * GIB
"""Four environments of 0.9 GiB each (DeepSpeed with the CPU build of torch), should uv be unable to link them."""
MEMORY_NEEDED = 4 * GIB
"""An allowance for a template process, two ranks and the oracle, none of which needs a whole GiB."""


def probes(root: Path) -> list[Probe]:
    """Everything that a run on the CPU needs or could use, and what a cluster has; nothing is made."""
    looks: tuple[Callable[[], Probe], ...] = (
        _python, _uv, _git, _make, _compiler, _sandbox, _cores, _memory, _wheels,
    )  # fmt: skip
    own = [_disk(root), _writable(root), _environments(root)]
    return [look() for look in looks] + own + cluster.probes(root)


def can_run(found: list[Probe]) -> bool:
    return all(probe.ok for probe in found if probe.required)


def _python() -> Probe:
    ok = sys.version_info >= (3, 11)
    return Probe("Python", ok, f"{platform.python_version()} at {sys.executable}", "use Python 3.11 or later")


def _uv() -> Probe:
    found = installer.find_uv()
    return Probe("uv", found is not None, str(found or "not found"), "run `pip install uv`")


def _tool(name: str, command: str, remedy: str, required: bool) -> Probe:
    found = shutil.which(command)
    return Probe(name, found is not None, found or "not found", remedy, required)


def _git() -> Probe:
    return _tool("git", "git", "install git; only development needs it", required=False)


def _make() -> Probe:
    return _tool("make", "make", "install make, or run the Makefile's commands by hand", required=False)


def _compiler() -> Probe:
    command = os.environ.get("CXX") or next((c for c in ("c++", "g++", "clang++") if shutil.which(c)), "c++")
    remedy = "install g++ or set CXX if a framework compiles operators; what is run here on a CPU compiles none"
    return _tool("C++ compiler", command, remedy, required=False)


def _sandbox() -> Probe:
    return _tool("bubblewrap", "bwrap", "install bubblewrap; only --sandbox needs it", required=False)


def _cores() -> Probe:
    cores = len(os.sched_getaffinity(0))
    return Probe(
        "cores", cores >= 2, str(cores), "a run of 2 ranks shares one core: slower, same result", required=False
    )


def _memory() -> Probe:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass  # not Linux: the pages that are free right now are the best guess
    remedy = f"free memory; two ranks need about {MEMORY_NEEDED // GIB} GiB"
    return Probe("memory", free >= MEMORY_NEEDED, f"{free / GIB:.1f} GiB available", remedy)


def _wheels() -> Probe:
    folder = installer.variables(os.environ).get("UV_FIND_LINKS")
    says = f"wheels from {folder}" if folder else "unset: uv picks torch's build for this machine from its index"
    return Probe("UV_FIND_LINKS", True, says, required=False)


def _disk(root: Path) -> Probe:
    free = shutil.disk_usage(existing(root)).free
    remedy = f"free {DISK_NEEDED // GIB} GiB, run `lockstep env prune`, or set {store.VARIABLE} to another disk"
    return Probe("disk", free >= DISK_NEEDED, f"{free / GIB:.1f} GiB free for {root}", remedy)


def _writable(root: Path) -> Probe:
    place = existing(root)
    ok = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    says = f"{root} can be {'written' if root.is_dir() else 'made'}" if ok else f"{place} cannot be written"
    return Probe("environments folder", ok, says, f"set {store.VARIABLE} to a folder of your own")


def _environments(root: Path) -> Probe:
    names = [s.name for s in store.stored(root) if s.whole]
    remedy = "none needed: `lockstep run` builds what it lacks"
    return Probe("environments", bool(names), ", ".join(names) or "none built yet", remedy, required=False)
