"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Put `text` in the place of `path` in one atomic step, so that whoever reads meets the old or the new, never half.

    Processes that write the same file do not meet in the partial one. Raises OSError.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
