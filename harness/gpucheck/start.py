"""`python harness/gpucheck/start.py`: begins `make gpu-check`, by any Python that has torch.

Standard library only, for it is what puts the carried wheels beside that Python's torch. Nothing of that Python is
changed: what is installed lies in environments of their own, below the folder of the wheels.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
WHEELS = ROOT / ".gpu" / "wheels"
OLDEST = (3, 11)
"""Of Pythons that Lockstep runs on."""
OWN = ("torch", "numpy")
"""What the interpreter has to have itself."""
NEWEST, BAD = "newest", "known-bad"
"""The two environments; files of pins are called so too, with the Python that they are for."""
NO_CARD = 2
BROKEN = 3


def main() -> NoReturn:
    """Make the environments, unless they are there, and become `python -m harness.gpucheck` in the first of them."""
    parser = argparse.ArgumentParser(prog="make gpu-check", add_help=False)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--wheels", type=Path, default=WHEELS)
    own, rest = parser.parse_known_args()
    wheels = own.wheels.absolute()
    carried = wheels.is_dir()
    if (why := unfit(wheels, carried, own.device)) is not None:
        print(f"lockstep: {why}", file=sys.stderr)
        sys.exit(NO_CARD)
    arguments = ["--device", own.device, *rest]
    python = Path(sys.executable)
    if carried:
        try:
            python, bad = environments(wheels)
        except (subprocess.CalledProcessError, OSError) as error:
            said = last_line(error.output) if isinstance(error, subprocess.CalledProcessError) else str(error)
            print(f"lockstep: the carried wheels cannot be installed: {said}", file=sys.stderr)
            sys.exit(BROKEN)
        arguments += ["--python", str(python), "--known-bad", str(bad)]
    become(python, arguments)


def become(python: Path, arguments: list[str]) -> NoReturn:
    """Go on as Lockstep's own part of it, run by that interpreter."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.chdir(ROOT)
    os.execve(str(python), [str(python), "-m", "harness.gpucheck", *arguments], {**environment, "PYTHONPATH": path})


def unfit(wheels: Path, carried: bool, device: str) -> str | None:
    """Why this Python or this machine cannot run it, in one line with what to do; None if it can."""
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.version_info < OLDEST:
        return f"Lockstep needs Python {OLDEST[0]}.{OLDEST[1]}, and this is {this}; take another with GPU_PYTHON=PATH"
    if missing := [name for name in OWN if find_spec(name) is None]:
        return f"{sys.executable} has no {' and no '.join(missing)}; take a Python that has, with GPU_PYTHON=PATH"
    if carried and not pins(wheels, NEWEST).exists():
        there = ", ".join(sorted(path.stem.partition("-")[2] for path in wheels.glob(f"{NEWEST}-*.txt"))) or "none"
        return f"{wheels} is for Python {there}, and this is {this}; make it with `make gpu-wheels GPU_PYTHONS={this}`"
    if carried and len([*wheels.glob("pip-*.whl")]) != 1:
        return f"{wheels} has not one wheel of pip, so it is not whole; make it again with `make gpu-wheels`"
    if device == "cuda" and not has_card():
        return "no CUDA device here; run make gpu-check where there is one"
    return None


def has_card() -> bool:
    """Whether this Python's torch sees a CUDA device."""
    import torch

    return bool(torch.cuda.is_available())


def pins(wheels: Path, name: str) -> Path:
    """The file of pins for this Python."""
    return wheels / f"{name}-{sys.version_info.major}.{sys.version_info.minor}.txt"


def environments(wheels: Path) -> tuple[Path, Path]:
    """The interpreters of both: the newest releases, and in front of them the one that is known to be wrong.

    Raises CalledProcessError, whose output ends in why.
    """
    mine = [path for path in map(Path, [*sys.path[1:], sysconfig.get_path("purelib")]) if path.name in _PACKAGES]
    newest = environment(wheels, NEWEST, list(dict.fromkeys(mine)))
    return newest, environment(wheels, BAD, [packages(newest), *dict.fromkeys(mine)])


_PACKAGES = ("site-packages", "dist-packages")


def packages(python: Path) -> Path:
    """The folder of what is installed for an environment that was made here."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return python.parents[1] / "lib" / version / "site-packages"


def environment(wheels: Path, name: str, behind: list[Path]) -> Path:
    """An environment of the carried wheels, behind which the packages of other folders are found; its interpreter.

    It is made anew for other pins and for another Python. (A virtual environment made by another one would see the
    packages of neither: so they are named in a file of paths.)
    """
    wanted = pins(wheels, name)
    told = "\n".join([sys.version, sys.executable, wanted.read_text(), *map(str, behind)])
    folder = wheels.parent / f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if (folder / "whole").exists():
        return python
    print(f"lockstep: installing the carried wheels into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=False, symlinks=True)
    (pip,) = wheels.glob("pip-*.whl")
    options = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    command = [str(python), "-s", str(pip / "pip"), "install", *options, "--find-links", str(wheels), "-r", str(wanted)]
    plain = {variable: value for variable, value in os.environ.items() if not variable.startswith(("PIP_", "PYTHON"))}
    subprocess.run(command, check=True, env=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    (packages(python) / "behind.pth").write_text("".join(f"{path}\n" for path in behind))
    (folder / "whole").touch()
    return python


def last_line(output: str) -> str:
    """What pip says at its end, or first of what it could not find."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["pip says nothing"]
    return next((line for line in lines if "No matching distribution" in line), lines[-1])


if __name__ == "__main__":
    main()
