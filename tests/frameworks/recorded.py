"""Commands that are run as they stand, and below `lockstep record`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.environments import build
from harness.environments.environment import Environment
from harness.environments.request import parse

LOCKSTEP = str(Path(sys.executable).with_name("lockstep"))


def environment(framework: str, environments: Path) -> Environment:
    return build.ensure(parse(framework), environments, print)


def interpreter(framework: str, environments: Path) -> str:
    return str(environment(framework, environments).python)


def ran(command: list[str], folder: Path, **variables: str) -> str:
    """What a command prints, run in a folder with variables of its own; it must end well."""
    folder.mkdir(exist_ok=True)
    usual = {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "TORCH_EXTENSIONS_DIR": str(folder / "built")}
    env = {**os.environ, **usual, "GLOO_SOCKET_IFNAME": "lo", "HF_HUB_OFFLINE": "1", **variables}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def launched(python: str, ranks: int, port: int, *words: str) -> list[str]:
    where = ["--nproc-per-node", str(ranks), "--master-port", str(port)]
    return [python, "-m", "torch.distributed.run", *where, *words]


def recorded(command: list[str], folder: Path, **variables: str) -> str:
    return ran([LOCKSTEP, "record", "--out", "recording", "--", *command], folder, **variables)


def judged(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [LOCKSTEP, "judge", str(folder / "recording")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def hashed(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("parameters ")]
