"""How a cell ended, from how its processes ended and what they left in the trace."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adapters.contract import CRASH, END, done_file
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
    """Last lines of the rank that failed first, that was still running, or of rank 0; at most `TAIL` characters."""
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
    """What became of a process of ours, so that whatever the ranks say is only its consequence."""
    left: frozenset[int] = frozenset()
    """Ranks that ended with status 0 before they had run to their end, as by `os._exit(0)`."""
    unnamed: str | None = None
    """How the launcher itself ended, where it does not say which rank failed."""
    written_late: bool = False
    """Whether what a rank has written of its failure is a consequence of the time that was over."""


_INNERMOST = re.compile(r'^Current thread .*\n  File "([^"\n]+)", line (\d+) in (\S+)', re.MULTILINE)
"""The first line of the main thread's stack, as `faulthandler` prints it upon a signal."""

PEER_GONE = (-signal.SIGABRT,)
"""Exit codes that a rank may have because another one is gone: C++ aborts where nobody catches its exception."""


def conclude(trace: Path, ending: Ending, timeout: float, seconds: float) -> Outcome:
    """Name what ended the cell. A trace that was not finished has a crash file afterwards, which says the same."""
    codes = {**dict(ending.ended), **dict.fromkeys(ending.killed, -signal.SIGKILL)}
    written = None if ending.written_late else _read(trace / CRASH)
    failed = any(code != 0 for code in codes.values())
    ended = not failed and written is None and not (ending.timed_out or ending.lost or ending.unnamed)
    if ended and _is_file(trace / END):
        return Outcome("finished", seconds, None, _tail(trace, 0), codes)
    crash = _cause(trace, ending, written, timeout)
    if crash != written and not trace.is_symlink():  # nothing is written where a release has put a link
        files.replace(trace / CRASH, json.dumps(crash) + "\n")
    status: Status = {"unsupported": "unsupported", "timeout": "timeout"}.get(crash["kind"], "crashed")  # type: ignore[assignment]
    told = crash.get("rank", min(ending.killed, default=0))
    return Outcome(status, seconds, _line(crash), _tail(trace, told), codes)


def _cause(trace: Path, ending: Ending, written: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
    """The crash file's content, by the first that applies.

    What a rank wrote counts, unless another one, or what keeps them, was gone before: it would then only complain that
    its peer is gone. Ranks that end within the same moment are seen in any order.
    """
    failed = next(((rank, code) for rank, code in ending.ended if code != 0), None)
    killed = [(rank, code) for rank, code in ending.ended if code < 0 and code not in PEER_GONE]
    first = killed[0] if killed else failed
    left = [] if _is_file(trace / END) else _left_before(ending, failed)
    if first is not None and first[1] < 0:
        return {"kind": "crashed", "rank": first[0], "reason": f"killed by {signal_name(-first[1])}"}
    if ending.lost:
        return {"kind": "crashed", "reason": ending.lost}
    if left and not ending.timed_out:
        return {"kind": "crashed", "rank": left[0], "reason": f"exited with status 0, but the trace has no {END}"}
    if written is not None:
        return written
    if ending.timed_out:
        reason = _late(ending, left, timeout)
        where = [_where(trace, rank) for rank in ending.killed]
        return {"kind": "timeout", "reason": reason + next(filter(None, where), "")}
    if failed is not None:
        return {"kind": "crashed", "rank": failed[0], "reason": f"exited with status {failed[1]}"}
    return {
        "kind": "crashed",
        "reason": ending.unnamed or f"all ranks ended without an error, but the trace has no {END}",
    }


def _left_before(ending: Ending, failed: tuple[int, int] | None) -> list[int]:
    """Ranks that were gone when the first of the others failed."""
    order = list(ending.ended)
    return [rank for rank, _ in order[: order.index(failed) if failed else None] if rank in ending.left]


def _late(ending: Ending, left: Sequence[int], timeout: float) -> str:
    stuck = ", ".join(map(str, ending.killed)) or "unknown"
    gone = "".join(f"; rank {rank} has exited with status 0" for rank in left)
    return f"not finished after {timeout:g} s; still running: {stuck}{gone}"


def _where(trace: Path, rank: int) -> str:
    """Where a rank was when it was asked, by its log; empty if that does not say."""
    told = _INNERMOST.findall(_tail(trace, rank))
    return f"; rank {rank} was in {told[-1][2]} ({Path(told[-1][0]).name}:{told[-1][1]})" if told else ""


def _line(crash: Mapping[str, Any]) -> str:
    return f"rank {crash['rank']}: {crash['reason']}" if "rank" in crash else str(crash["reason"])


def signal_name(number: int) -> str:
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


def tail(log: Path, most: int = TAIL) -> str:
    """The last characters of a log; empty if there is none, or it is no ordinary file."""
    try:
        return files.tail(log, most).decode(errors="replace")
    except OSError:
        return ""


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def left_early(ended: Sequence[tuple[int, int]], scratch: Path) -> frozenset[int]:
    """Ranks with status 0 that have left no mark of their end in the cell's folder for temporary files."""
    return frozenset(rank for rank, code in ended if code == 0 and not (scratch / done_file(rank)).exists())
