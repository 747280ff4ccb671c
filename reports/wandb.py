"""The traces of a run for Weights & Biases, a run for each cell. Needs the extra `wandb`.

Nothing is sent anywhere unless WANDB_MODE says so: the runs lie in the folder, and `wandb sync` sends them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, cast, get_args

from harness import printable
from reports import series
from reports.series import Scalar
from reports.source import Cell, Source

PROJECT = "lockstep"
VARIABLE = "WANDB_MODE"

Mode = Literal["online", "offline", "disabled"]


class NotTracked(Exception):
    """Weights & Biases does not take the runs; the message is one line."""


def write(source: Source, out: Path) -> int:
    """Write runs into `out`, which is made; returns how many cells had anything.

    Raises ImportError, NotTracked and OSError.
    """
    import wandb

    mode = _mode()
    out.mkdir(parents=True, exist_ok=True)
    tracked = [(cell, scalars) for cell in source.cells if (scalars := series.scalars(cell))]
    try:
        for cell, scalars in tracked:
            _track(cell, scalars, out, mode)
    except wandb.Error as error:
        raise NotTracked(f"Weights & Biases does not take the runs: {printable.line(str(error), 300)}") from None
    finally:
        wandb.teardown()  # its process writes the files, and ends when it has
    return len(tracked)


def _mode() -> Mode:
    told = os.environ.get(VARIABLE, "offline")
    if told not in get_args(Mode):
        raise NotTracked(f"{VARIABLE} is {told!r}; it may be {', '.join(get_args(Mode))}")
    return cast(Mode, told)


def _track(cell: Cell, scalars: tuple[Scalar, ...], out: Path, mode: Mode) -> None:
    import wandb

    run = wandb.init(
        project=PROJECT,
        name=printable.line(cell.record.name, 120),
        group=printable.line(cell.record.label, 120),
        config=_config(cell),
        dir=out,
        mode=mode,
        settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
    )
    for step in dict.fromkeys(scalar.step for scalar in scalars):
        run.log(_values(scalars, step), step=step)
    run.finish()


def _config(cell: Cell) -> dict[str, str]:
    """By what runs are told apart there."""
    record = cell.record
    told = {
        "framework": record.framework,
        "version": record.version,
        "scenario": record.label,
        "verdict": record.verdict,
        "causes": "; ".join(d.kind for d in record.diagnoses),
    }
    return {name: printable.line(value) for name, value in told.items()}


def _values(scalars: tuple[Scalar, ...], step: int) -> dict[str, float]:
    return {scalar.tag: scalar.value for scalar in scalars if scalar.step == step}
