"""Running `uv`: finding it, its child process, its environment variables, and what its errors mean."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

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


_children: set[subprocess.Popen[str]] = set()
_guard = threading.Lock()


def find_uv() -> Path | None:
    """`uv` beside this interpreter, else on PATH."""
    beside = Path(sys.executable).with_name("uv")
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("uv")
    return Path(found) if found else None


def variables(base: Mapping[str, str]) -> dict[str, str]:
    """The environment of `uv` itself: pip's local wheels count too, and nothing of other environments leaks in.

    Nor of a repository that this was started from, as `git bisect run` does: `uv` runs git itself.
    """
    foreign = (
        "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX",
        "UV_NO_VERIFY_HASHES",
    )  # fmt: skip
    chosen = {k: v for k, v in base.items() if k not in foreign}
    if not chosen.get("UV_FIND_LINKS") and base.get("PIP_FIND_LINKS"):
        chosen["UV_FIND_LINKS"] = base["PIP_FIND_LINKS"]
    return {**chosen, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


def backend_options(base: Mapping[str, str]) -> list[str]:
    """`uv`'s choice of torch build for this machine, unless a folder of wheels or the user decides it."""
    if variables(base).get("UV_FIND_LINKS") or base.get("UV_TORCH_BACKEND"):
        return []
    return ["--torch-backend=auto"]


def run(arguments: Sequence[str], *, stdin: str = "", hold: Sequence[int] = ()) -> str:
    """Run `uv` and return its standard output.

    `hold`: descriptors of claims that the child keeps alive. The child has a process group of its own and is killed
    with all of it when this call is interrupted. Raises InstallerError.
    """
    uv = find_uv()
    if uv is None:
        raise InstallerError(
            "uv is neither beside this Python nor on PATH; install it with `pip install uv`", local=True
        )
    # uv and what builds a package leave files in the folder for temporary ones, which is nobody's to tidy.
    with tempfile.TemporaryDirectory(prefix="lockstep-uv-", ignore_cleanup_errors=True) as scratch:
        process = subprocess.Popen(
            [str(uv), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**variables(os.environ), "TMPDIR": scratch},
            process_group=0,
            pass_fds=tuple(hold),
        )
        output, errors = _communicate(process, stdin)
    if process.returncode != 0:
        raise InstallerError(explain(errors, process.returncode), errors, process.returncode < 0 or _is_local(errors))
    return output


def _communicate(process: subprocess.Popen[str], stdin: str) -> tuple[str, str]:
    with _guard:
        _children.add(process)
    try:
        return process.communicate(stdin)
    except BaseException:
        _kill(process)
        raise
    finally:
        with _guard:
            _children.discard(process)


def kill_all() -> None:
    """Kill every `uv` that other threads of this process wait for; they then raise InstallerError."""
    with _guard:
        running = list(_children)
    for process in running:
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


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
