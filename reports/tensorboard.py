"""The traces of a run as TensorBoard events, a run for each cell. Needs the extra `tensorboard`.

TensorBoard's own writer: it needs neither TensorFlow nor torch, and what shows the events comes with it.
"""

from __future__ import annotations

from pathlib import Path

from reports import plain, series
from reports.source import Source


def write(source: Source, out: Path) -> int:
    """Write events into `out`, which is made; returns how many cells had any. Raises ImportError and OSError."""
    from tensorboard.summary import Writer

    out.mkdir(parents=True, exist_ok=True)
    written = [(cell, scalars) for cell in source.cells if (scalars := series.scalars(cell))]
    for cell, scalars in written:
        release, _, label = cell.record.name.partition("/")
        writer = Writer(str(out / plain.file_name(release) / plain.file_name(label)))
        for scalar in scalars:
            writer.add_scalar(scalar.tag, scalar.value, scalar.step)
        writer.close()
    return len(written)
