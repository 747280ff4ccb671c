"""Numbers on a command line, within what can be meant: neither infinite, nor no number, nor beyond any machine."""

from __future__ import annotations

import math
from typing import Annotated

import typer

LONGEST = 7 * 86400.0
"""Seconds: a week."""
MOST_JOBS = 1024
MOST_SEEDS = 10_000
MOST_DAYS = 36_500.0
MOST_GIB = float(2**30)


def finite(value: float | None) -> float | None:
    """Raises BadParameter for NaN, which is neither below the least nor above the greatest that an option takes."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter(f"{value} is not a number")
    return value


Timeout = Annotated[
    float,
    typer.Option(min=1, max=LONGEST, metavar="SECONDS", callback=finite, help="Most time for one cell."),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_JOBS, help="Most cells at once. Default: half the cores.", show_default=False),
]
