"""How much disk a folder of environments takes."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

FILE = ".disk-use"
"""What was measured last, in bytes; as young as the folder's own time as long as nothing was added or removed."""

PATIENCE = 20.0
"""Seconds that measuring may take; an environment takes half a second, on a slow disk more."""


def of(root: Path) -> int | None:
    """Bytes on disk of all that is in `root`; what environments share by hard links counts once.

    None if it cannot be told. Measured anew only where an environment was added or removed since.
    """
    try:
        if (root / FILE).stat().st_mtime_ns >= root.stat().st_mtime_ns:
            return int((root / FILE).read_text())
    except (OSError, ValueError):
        pass
    measured = _measured(root)
    if measured is not None:
        with contextlib.suppress(OSError):  # a read-only folder, as one shared on a cluster may be
            (root / FILE).write_text(str(measured))
    return measured


def _measured(root: Path) -> int | None:
    """By `du`, which every Unix has and which is ten times as quick as a walk from here."""
    try:
        ran = subprocess.run(
            ["du", "-sk", str(root.absolute())], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return int(ran.stdout.split()[0]) * 1024
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return None
