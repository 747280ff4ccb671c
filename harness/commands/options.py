"""Options that several commands have, and what their numbers may be."""

from __future__ import annotations

import math
from typing import Annotated

import typer

MOST_JOBS = 1024
MOST_SECONDS = 7 * 86400.0
"""Of one cell: a week."""


def finite(value: float | None) -> float | None:
    """A number that a range lets through though it is none, such as nan. Raises typer.BadParameter."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to count with")
    return value


Jobs = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_JOBS, help="Most cells at once. Default: half the cores.", show_default=False),
]
Timeout = Annotated[
    float,
    typer.Option(min=1, max=MOST_SECONDS, callback=finite, metavar="SECONDS", help="Most time for one cell."),
]
