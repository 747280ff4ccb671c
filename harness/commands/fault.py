"""What is said of an exception that no command expected: one line, and never a traceback that nobody asked for."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType

from harness.commands.output import errors, warn

VARIABLE = "LOCKSTEP_DEBUG"
"""With any value, the traceback is shown as well."""

_ROOT = Path(__file__).parents[2]
_OURS = ("harness", "reports", "scenarios", "adapters")


def told(error: BaseException) -> str:
    """The line, after the traceback where the user wants it.

    What the machine refuses (a name that is too long, a disk that is full, a lack of memory) is told as that; all else
    is a fault of Lockstep.
    """
    if os.environ.get(VARIABLE):
        errors("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'} cannot be used: {error.strerror}"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    what = f"a fault of Lockstep itself: {_said(error)} ({_place(error)})"
    return f"{what}; please report it, with what {VARIABLE}=1 before the command shows"


def install() -> None:
    """What goes wrong in a thread, at the end of the process or before any command is one line too."""
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread


def _said(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """The last line of Lockstep's own that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _OURS:
            return f"{path.relative_to(_ROOT)}:{frame.lineno}"
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"


def _uncaught(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    warn("interrupted" if isinstance(error, KeyboardInterrupt) else told(error))


def _in_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None:
        warn(f"in the thread {failed.thread.name if failed.thread else '?'}: {told(failed.exc_value)}")


def _unraisable(failed: sys.UnraisableHookArgs) -> None:
    if failed.exc_value is not None:
        warn(f"while it ended: {told(failed.exc_value)}")
