"""What runs a framework sees of the machine: all that the user sees, or, below bubblewrap, only what it needs.

In the sandbox there is no network but a loopback of its own, no process but its own, no home, and nothing can be
written but the traces of its cells, what it compiles at first use, and its temporary files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.contract import PATCHES, load_patches
from harness.environments import variables as allowed
from harness.launch.variables import child_environment

PROGRAM = "bwrap"
PATIENCE = 30.0
"""Seconds that an empty sandbox may take to start."""
SCRATCH = "scratch"
"""In the folder that something is started in: its temporary files."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/sys", "/nix/store", "/gnu/store")
"""What a program on a Linux needs to start, all of it readable for everybody."""
SETTINGS = (
    "alternatives", "fonts", "group", "hosts", "host.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "nsswitch.conf", "os-release", "passwd", "protocols", "services", "timezone",
)  # fmt: skip
"""Of /etc; the rest of it may hold keys."""
NAMESPACES = (
    "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
    "--hostname", "localhost",  # the real name may stand for an address that there is not, where ranks would meet
    "--cap-drop", "ALL", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
)  # fmt: skip


class NoSandbox(Exception):
    """This machine cannot make a sandbox; the message is one line with the remedy."""


@dataclass(frozen=True)
class Sandbox:
    """What the processes of one environment may see beside what they are started with."""

    read: tuple[Path, ...] = ()
    """Folders that can be read, such as the environment's and that of the checkpoints."""
    write: tuple[Path, ...] = ()
    """Folders that can be written, such as that of the traces."""


@dataclass(frozen=True)
class Start:
    """A command and its environment variables."""

    command: Sequence[str]
    environment: Mapping[str, str]


def check() -> None:
    """See that a sandbox can be made. Raises NoSandbox."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise NoSandbox(f"--sandbox needs {PROGRAM}, which is not on PATH; install the package bubblewrap")
    command = [program, *NAMESPACES, *_mounts((Path(p) for p in SYSTEM), ()), "true"]
    plain = allowed.chosen(os.environ, allowed.PLACE)
    try:
        ran = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", env=plain, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSandbox(f"--sandbox: {program} cannot be run ({error}); run without it") from None
    if ran.returncode != 0:
        said = (ran.stderr.strip().splitlines() or [f"exit status {ran.returncode}"])[-1]
        raise NoSandbox(f"--sandbox: this machine makes no namespaces ({said}); allow them to users, or run without it")


def start_in(
    folder: Path, command: Sequence[str], python: Path, variables: Mapping[str, str], sandbox: Sandbox | None
) -> Start:
    """How to start a command of an environment in a folder that `adapters_alone` made.

    `variables` are the environment's own. Temporary files go into `SCRATCH` in that folder.
    """
    environment = {**child_environment(python, variables, folder), "TMPDIR": str(folder / SCRATCH)}
    if sandbox is None:
        return Start(command, environment)
    for name in allowed.CACHES:
        environment.pop(name, None)
    environment["HOME"] = str(folder / SCRATCH)
    extensions = environment.get("TORCH_EXTENSIONS_DIR")
    if extensions:
        Path(extensions).mkdir(parents=True, exist_ok=True)
        environment["PYTHONPYCACHEPREFIX"] = str(Path(extensions) / "bytecode")
    read = [*sandbox.read, *_interpreter(python), *_needed(folder, environment)]
    write = [*sandbox.write, folder, *([Path(extensions)] if extensions else [])]
    wrapped = [shutil.which(PROGRAM) or PROGRAM, *NAMESPACES, *_mounts(read, write), "--chdir", str(folder)]
    return Start([*wrapped, "--", *command], environment)


def exit_code(code: int, sandbox: Sandbox | None) -> int:
    """Negative for a signal, which bubblewrap tells as shells do."""
    return 128 - code if sandbox is not None and code > 128 else code


def _needed(folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """What the variables of a command point to, and the adapters."""
    yield from map(Path, SYSTEM)
    yield from (Path("/etc") / name for name in SETTINGS)
    yield (folder / "adapters").resolve()
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH"):
        yield from (Path(part) for part in environment.get(name, "").split(os.pathsep) if part.startswith("/"))
    yield from (Path(patch.file) for patch in load_patches(environment.get(PATCHES, "[]")) if patch.file)


def _interpreter(python: Path) -> Iterator[Path]:
    """The folders of an interpreter, and of those that it is a link to. Of its prefix, which may be a home, no more."""
    seen: set[Path] = set()
    while python not in seen:
        seen.add(python)
        prefix = python.parent.parent
        yield from (prefix / name for name in ("bin", "include", "lib", "lib64", "share", "pyvenv.cfg"))
        if python.is_symlink():
            python = python.parent / python.readlink()
    prefix = python.resolve().parent.parent
    yield from (prefix / name for name in ("bin", "include", "lib", "lib64", "share"))


def _mounts(read: Iterable[Path], write: Iterable[Path]) -> list[str]:
    """The options that show these, each at its own place; what lies deeper comes later, and counts.

    The home is empty, though something in the lists should hold it.
    """
    home = Path.home()
    ways: dict[Path, tuple[str, ...]] = {path: ("--ro-bind-try", str(path)) for path in map(_plain, read)}
    ways |= {path: ("--bind", str(path)) for path in map(_plain, write)}
    ways = {path: way for path, way in ways.items() if str(path) in SYSTEM or not home.is_relative_to(path)}
    if home != Path(home.root):
        ways[home] = ("--tmpfs",)
    devices = [word for path in sorted(Path("/dev").glob("nvidia*")) for word in ("--dev-bind", str(path), str(path))]
    binds = [word for path in sorted(ways, key=_depth) for word in (*ways[path], str(path))]
    return [*devices, *binds]


def _plain(path: Path) -> Path:
    """Absolute, and without `..`; a link stays one, since what is run knows it by that name."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _depth(path: Path) -> tuple[int, str]:
    return len(path.parts), str(path)
