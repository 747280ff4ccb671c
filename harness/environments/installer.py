"""Running `uv`: finding it, its child process, its environment variables, and what its errors mean."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from harness import processes, temporary
from harness.environments import variables as allowed
from harness.processes import Done, Kept

TAIL_LINES = 15


class BuildFailed(Exception):
    """An environment could not be built. The message is one line; `tail` is the installer's last lines.

    `local`: this machine or its network is to blame, so that nothing is said of the release.
    """

    def __init__(self, framework: str, version: str, reason: str, tail: str = "", local: bool = False) -> None:
        super().__init__(f"{framework} {version}: {reason}")
        self.framework = framework
        self.version = version
        self.reason = reason
        self.tail = tail
        self.local = local


class InstallerError(Exception):
    """`uv` ended with an error, or is not there. The message is one line."""

    def __init__(self, reason: str, output: str = "", local: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.output = output
        self.local = local
        """This machine or its network is to blame, not what was to be installed."""

    @property
    def tail(self) -> str:
        return "\n".join(self.output.strip().splitlines()[-TAIL_LINES:])


_children: set[Kept] = set()
_guard = threading.Lock()


def find_uv() -> Path | None:
    """`uv` beside this interpreter, else on PATH."""
    beside = Path(sys.executable).with_name("uv")
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("uv")
    return Path(found) if found else None


def variables(base: Mapping[str, str]) -> dict[str, str]:
    """The environment of `uv` itself, and of what builds packages from source: what is needed to reach the index.

    pip's local wheels count too. Nothing of other environments leaks in, nor of a repository that this was started
    from, as `git bisect run` does: `uv` runs git itself.
    """
    chosen = allowed.chosen(
        base, allowed.PLACE, allowed.LIBRARIES, allowed.COMPILER, allowed.DEVICES, allowed.INSTALLING
    )
    chosen.pop("UV_NO_VERIFY_HASHES", None)
    if not chosen.get("UV_FIND_LINKS") and base.get("PIP_FIND_LINKS"):
        chosen["UV_FIND_LINKS"] = base["PIP_FIND_LINKS"]
    return {**chosen, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


def backend_options(base: Mapping[str, str]) -> list[str]:
    """`uv`'s choice of torch build for this machine, unless a folder of wheels or the user decides it."""
    if variables(base).get("UV_FIND_LINKS") or base.get("UV_TORCH_BACKEND"):
        return []
    return ["--torch-backend=auto"]


def run(arguments: Sequence[str], *, stdin: str = "", hold: Sequence[int] = (), without: Collection[str] = ()) -> str:
    """Run `uv` and return its standard output.

    `hold`: descriptors of claims that the child keeps alive; `without`: variables that it does not see. It is ended,
    with all that it started, when this call is interrupted and when this process dies. Raises InstallerError.
    """
    uv = find_uv()
    if uv is None:
        raise InstallerError(
            "uv is neither beside this Python nor on PATH; install it with `pip install uv`", local=True
        )
    # uv and what builds a package leave files in the folder for temporary ones, which is nobody's to tidy.
    with temporary.folder("uv") as scratch:
        seen = {name: value for name, value in variables(os.environ).items() if name not in without}
        environment = {**seen, "TMPDIR": str(scratch)}
        done = _run([str(uv), *arguments], environment, stdin, hold, scratch)
    if done.code != 0:
        raise InstallerError(explain(done.errors, done.code), done.errors, done.code < 0 or _is_local(done.errors))
    return done.output


def _run(command: list[str], environment: Mapping[str, str], stdin: str, hold: Sequence[int], scratch: Path) -> Done:
    """Raises InstallerError."""
    mine: list[Kept] = []

    def started(kept: Kept) -> None:
        mine.append(kept)
        with _guard:
            _children.add(kept)

    try:
        return processes.run(command, environment, stdin=stdin, folder=scratch, hand_on=hold, started=started)
    except processes.TooMuchOutput:
        raise InstallerError(f"the installer printed more than {processes.LARGEST >> 20} MiB") from None
    finally:
        with _guard:
            _children.difference_update(mine)


def kill_all() -> None:
    """Kill every `uv` that other threads of this process wait for; they then raise InstallerError."""
    with _guard:
        running = list(_children)
    for kept in running:
        kept.close()


def missing_version(output: str) -> tuple[str, str] | None:
    """Package and version that `uv` says do not exist, if that is its complaint."""
    match = re.search(r"there (?:is|are) no versions? of ([\w.-]+)(?:\[[^\]]*\])?==([^\s,]+)", output)
    return (match[1], match[2]) if match else None


def replaced(output: str) -> str | None:
    """The release of which `uv` says that its file has none of the hashes that it may have, as `name==version`."""
    match = re.search(r"Hash mismatch for `([^`\s]+)`", output)
    return match[1] if match else None


def explain(output: str, status: int) -> str:
    """One line for why `uv` failed, the likeliest reason first."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for sign, reason in (*_LOCAL_SIGNS, *_SIGNS):
        if re.search(sign, output, re.IGNORECASE):
            return reason
    if status < 0:
        return f"the installer was killed by {signal.Signals(-status).name}"
    causes = [line for line in lines if line.startswith(("cause:", "Caused by:"))]
    chosen = causes or [line for line in lines if line.startswith("error:")] or lines or ["no output"]
    return f"the installer failed (status {status}): {re.sub(r'^(cause|error|Caused by): *', '', chosen[0])}"


def _is_local(output: str) -> bool:
    return any(re.search(sign, output, re.IGNORECASE) for sign, _ in _LOCAL_SIGNS)


_LOCAL_SIGNS = (
    (r"no space left on device", "the disk is full; free space or run `lockstep env prune`"),
    (r"git operation failed", "git cannot read the revision from its repository; try `git fsck` there"),
    (r"read-only file system|permission denied", "a folder cannot be written"),
    (
        r"error sending request|failed to fetch|dns error|could not connect|network connectivity is disabled",
        "the package index cannot be reached; check the network or set UV_FIND_LINKS to a folder of wheels",
    ),
)
_SIGNS = ((r"failed to build|build backend", "a package does not build from source"),)
