"""`python -m harness.gpucheck.wheels`: the folder of wheels that `make gpu-check` takes to a machine without a network.

What the recipes of TRL and DeepSpeed resolve to, with what Lockstep itself imports to run and to judge. DeepSpeed,
which is released as source only, is built here; its operators are compiled where they are first used, if at all.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from harness import files
from harness.environments import installer, recipes, resolution, store
from harness.environments.installer import BuildFailed, InstallerError
from harness.environments.request import parse
from harness.gpucheck.parts import KNOWN_BAD
from harness.gpucheck.start import BAD, NEWEST, WHEELS

FRAMEWORK = "trl"
"""The newest release of it brings transformers, accelerate, datasets and peft along."""
ENGINE = "deepspeed"
OURS = (
    "jinja2", "junitparser", "numpy", "packaging", "pydantic", "pypi-simple", "pyyaml", "requests", "rich",
    "safetensors", "tomli-w", "typer",
)  # fmt: skip
"""What Lockstep imports to run cells and to judge them; charts, drawing of inputs, uv and Slurm are left at home."""
LARGE = ("numpy", "pandas", "pyarrow")
"""Tens of MiB each, which most Pythons that have torch have as well."""
LEFT = re.compile(r"(torch|triton|nvidia-.*|cuda-.*|sympy|mpmath|networkx|setuptools|pillow|hf-xet)")
"""What comes with torch, and what is imported for images and downloads alone."""
TARGET = "x86_64-manylinux_2_28"
GLIBC = tuple(range(28, 4, -1))
MOST = 60 * 2**20
"""Bytes that fit through what such machines are usually reached by."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the folder anew."""
    parser = argparse.ArgumentParser(prog="make gpu-wheels", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=WHEELS, help="the folder")
    parser.add_argument("--python", action="append", metavar="3.N", help="for which Pythons: 3.11, 3.12 and 3.13")
    parser.add_argument("--large", action="store_true", help=f"with {', '.join(LARGE)} as well")
    options = parser.parse_args(arguments)
    versions = options.python or ["3.11", "3.12", "3.13"]
    if wrong := [version for version in versions if not re.fullmatch(r"3\.\d\d", version)]:
        parser.error(f"argument --python: {wrong[0]!r} is no Python such as 3.12")
    try:
        make(options.out, versions, options.large)
    except (BuildFailed, InstallerError, subprocess.CalledProcessError) as error:
        said = (error.output or "").strip().splitlines() if isinstance(error, subprocess.CalledProcessError) else []
        print(f"lockstep: no folder of wheels: {said[-1] if said else error}", file=sys.stderr)
        return 3
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {size / 2**20:.1f} MiB for Python {', '.join(versions)} on x86-64")
    if not options.large:
        print(f"left out, for the Python there to have: torch, {', '.join(LARGE)} (--large takes the last three along)")
    if size > MOST:
        print(f"that is more than {MOST >> 20} MiB: name one Python, as in make gpu-wheels GPU_PYTHONS=3.12")
    return 0


def make(out: Path, versions: Sequence[str], large: bool) -> None:
    """Resolve for each Python, and fetch. Raises BuildFailed, InstallerError and CalledProcessError."""
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("*.whl"), *out.glob("*.txt")):
        old.unlink()
    newest = f"{ENGINE}=={recipes.shipped().framework[ENGINE].newest}"
    for version in versions:
        print(f"resolving for Python {version}", file=sys.stderr)
        lock = locked(version, large)
        _pip("download", *_platforms(version), "--dest", str(out), *lock)
        files.replace(out / f"{NEWEST}-{version}.txt", "\n".join([*lock, newest]) + "\n")
        files.replace(out / f"{BAD}-{version}.txt", f"{KNOWN_BAD}\n")
    for release in (newest, KNOWN_BAD):
        print(f"building {release}", file=sys.stderr)
        _pip("wheel", "--no-build-isolation", "--wheel-dir", str(out), release)
    _pip("download", "--only-binary=:all:", "--dest", str(out), "pip")


def locked(version: str, large: bool) -> list[str]:
    """`name==version` of all but torch, what comes with it, and DeepSpeed. Raises BuildFailed, InstallerError."""
    asked = resolution.question(parse(FRAMEWORK).resolved(), recipes.shipped(), store.default_root())
    wanted = [*asked.full, *OURS]
    exempt = [f"--exclude-newer-package={name}=2100-01-01" for name in OURS]
    chosen = [f"--python-version={version}", f"--python-platform={TARGET}"]
    days = asked.days[-1]
    output = resolution.compiled(wanted, [*installer.backend_options(os.environ), *chosen, *days, *exempt])
    lines = [line.partition(" ;")[0].strip() for line in output.splitlines() if "==" in line]
    without = () if large else LARGE
    return [line for line in lines if not LEFT.fullmatch(_name(line)) and _name(line) not in without]


def _name(line: str) -> str:
    return canonicalize_name(line.partition("==")[0])


def _platforms(version: str) -> list[str]:
    named = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC]
    named += [f"manylinux{year}_x86_64" for year in (2014, 2010, 1)]
    said = [option for name in named for option in ("--platform", name)]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}", *said]


def _pip(*arguments: str) -> None:
    """Raises CalledProcessError."""
    command = [sys.executable, "-m", "pip", arguments[0], "--no-deps", "--quiet", *arguments[1:]]
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


if __name__ == "__main__":
    sys.exit(main())
