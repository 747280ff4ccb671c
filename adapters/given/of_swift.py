"""ms-swift's own command, in each rank."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from adapters.contract import Given, Shim
from adapters.given import of_trainer


def apply(given: Given) -> Sequence[Shim]:
    """As `start` has it. The checkpoint has the name that the release chooses a template by; datasets are kept here."""
    os.environ["MODELSCOPE_CACHE"] = str(Path("cache").absolute())
    named = Path(given.more["named"])
    named.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # of another rank
        named.symlink_to(given.more["model"])
    return of_trainer.apply(given)
