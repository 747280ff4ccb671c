"""What was typed, for a report that others read."""

from __future__ import annotations

import shlex
import sys

LOCAL = ("--out", "--envs", "--jobs", "--timeout")
"""Options that only concern this machine."""
_VALUES = tuple(f"{option}=" for option in LOCAL)


def command() -> str:
    """The command line without those."""
    words = iter(sys.argv[1:])
    told = [word for word in words if not (word in LOCAL and next(words, None)) and not word.startswith(_VALUES)]
    return shlex.join(["lockstep", *told])
