"""Options that several commands have, and what their numbers may be."""

from __future__ import annotations

import math
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.limits import MOST_JOBS, MOST_SECONDS

MOST_DAYS = 36_500.0
MOST_GIB = float(2**30)
MOST_SEEDS = 1000
MOST_SEED = 2**31


def finite(value: float | None) -> float | None:
    """A number that a range lets through though it is none, such as nan. Raises typer.BadParameter."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to count with")
    return value


def at_once(jobs: int | None) -> int:
    """Cells at once: half the cores where nobody says."""
    return jobs or max(1, (os.cpu_count() or 1) // 2)


def folder(path: Path | None) -> Path | None:
    """A path that is a folder, or can become one. Raises typer.BadParameter."""
    if path is None:
        return None
    try:
        place = next(place for place in (path, *path.absolute().parents) if _is_there(place))
        if not place.is_dir():
            raise typer.BadParameter(f"{place} is no folder")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be a folder: {error.strerror}") from None
    return path


def _is_there(path: Path) -> bool:
    """Raises OSError for what no path can be: too long, in a file, or a link to itself."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


Accepted = Annotated[
    Path | None,
    typer.Option(
        "--accepted",
        metavar="FILE",
        help="Divergences that are accepted, as TOML. Default: the one that comes with Lockstep.",
    ),
]


def scenarios(said: str) -> Any:
    """An option for several scenarios."""
    return typer.Option("--scenario", metavar="GLOB|FILE.toml[@SEED]", help=said)


Jobs = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_JOBS, help="Most cells at once. Default: half the cores.", show_default=False),
]
Timeout = Annotated[
    float,
    typer.Option(min=1, max=MOST_SECONDS, callback=finite, metavar="SECONDS", help="Most time for one cell."),
]
Environments = Annotated[
    Path | None,
    typer.Option(
        "--envs", metavar="DIR", callback=folder, help="Folder of environments. Default: $LOCKSTEP_ENVS, or .envs."
    ),
]


class Device(StrEnum):
    cpu = "cpu"
    cuda = "cuda"


OnDevice = Annotated[Device, typer.Option("--device", help="Where the frameworks train.")]
