"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Put `text` in the place of `path` in one atomic step, so that whoever reads meets the old or the new, never half.

    Processes that write the same file do not meet in the partial one, and none is left where the disk is full. Raises
    OSError.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
