"""How a cell ended, from how its processes ended and what they left in the trace."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adapters.contract import CRASH, END
from harness import files

Status = Literal["finished", "crashed", "timeout", "unsupported"]

TAIL = 4000
"""Characters of a log that an outcome carries."""
MAX_CRASH = 2**20
"""Bytes of a crash file, which the framework's own processes write."""


@dataclass(frozen=True)
class Outcome:
    """How a cell ended."""

    status: Status
    seconds: float
    """Wall time of its processes, without the start of a template."""
    reason: str | None
    """One line; None if it finished."""
    log_tail: str
    """Last lines of the rank that failed first, or of rank 0; at most `TAIL` characters."""
    exit_codes: Mapping[int, int]
    """By rank; negative for a signal, -9 for those that were killed with the cell; empty where nobody knows."""


@dataclass(frozen=True)
class Ending:
    """What a launcher saw of the processes."""

    ended: tuple[tuple[int, int], ...] = ()
    """Rank and exit code of those that ended by themselves, in that order."""
    killed: tuple[int, ...] = ()
    """Ranks of the others."""
    timed_out: bool = False
    lost: str | None = None
    """Why nothing is known of the processes."""


def conclude(trace: Path, ending: Ending, timeout: float, seconds: float) -> Outcome:
    """Name what ended the cell. A trace that was not finished has a crash file afterwards, which says the same."""
    codes = {**dict(ending.ended), **dict.fromkeys(ending.killed, -signal.SIGKILL)}
    failed = next(((rank, code) for rank, code in ending.ended if code != 0), None)
    written = _read(trace / CRASH)
    if failed is None and written is None and not ending.timed_out and not ending.lost and (trace / END).exists():
        return Outcome("finished", seconds, None, _tail(trace, 0), codes)
    crash = _cause(ending, failed, written, timeout)
    if crash != written:
        files.replace(trace / CRASH, json.dumps(crash) + "\n")
    status: Status = {"unsupported": "unsupported", "timeout": "timeout"}.get(crash["kind"], "crashed")  # type: ignore[assignment]
    return Outcome(status, seconds, _line(crash), _tail(trace, crash.get("rank", 0)), codes)


def _cause(
    ending: Ending, failed: tuple[int, int] | None, written: dict[str, Any] | None, timeout: float
) -> dict[str, Any]:
    """The crash file's content. What a rank wrote counts, unless another one was killed before: it would then only
    complain that its peer is gone.
    """
    if failed is not None and failed[1] < 0:
        return {"kind": "crashed", "rank": failed[0], "reason": f"killed by {_signal_name(-failed[1])}"}
    if written is not None:
        return written
    if ending.lost:
        return {"kind": "crashed", "reason": ending.lost}
    if ending.timed_out:
        stuck = ", ".join(map(str, ending.killed))
        return {"kind": "timeout", "reason": f"not finished after {timeout:g} s; still running: {stuck or 'unknown'}"}
    if failed is not None:
        return {"kind": "crashed", "rank": failed[0], "reason": f"exited with status {failed[1]}"}
    return {"kind": "crashed", "reason": f"all ranks ended without an error, but the trace has no {END}"}


def _line(crash: Mapping[str, Any]) -> str:
    return f"rank {crash['rank']}: {crash['reason']}" if "rank" in crash else str(crash["reason"])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(files.read(path, MAX_CRASH, follow=False))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "kind" in content and "reason" in content else None


def _tail(trace: Path, rank: int) -> str:
    return tail(trace / f"log-r{rank:02d}.txt")


def tail(log: Path) -> str:
    """The last `TAIL` characters of a log; empty if there is none."""
    try:
        return files.tail(log, TAIL).decode(errors="replace")
    except OSError:
        return ""
