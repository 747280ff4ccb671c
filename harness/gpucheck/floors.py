"""How far right cells were off on a device, in floors that were simulated on a CPU: whether the margin holds there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tomli_w

from harness import files
from harness.gpucheck import deviations
from harness.judging import devices
from harness.judging.devices import Measured
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from harness.traces import text_files
from harness.verdicts.verdict import CellRecord

FILE = "floors.toml"


def measure(cells: Sequence[CellRecord], folder: Path) -> dict[str, Measured]:
    """By precision, of the cells that passed."""
    cache, traces = BasisCache(), dict[str, dict[str, Path]]()
    for cell in cells:
        if cell.verdict != "pass" or cell.trace is None:
            continue
        trace = folder / cell.trace
        judged = judge(trace, cache)
        if judged.steps and judged.scenario is not None:
            deviations.write(judged.steps, trace)
            traces.setdefault(judged.scenario.precision.compute, {})[cell.name] = trace
    return {precision: _measured(mine) for precision, mine in traces.items()}


def _measured(traces: dict[str, Path]) -> Measured:
    needs = deviations.needs(traces)
    return Measured(
        cells=len(traces),
        floor={need.quantity: need.floor for need in needs},
        largest={need.quantity: need.largest for need in needs},
    )


def device_of(cells: Sequence[CellRecord], folder: Path) -> str:
    """What the traces say that they were made on; a CPU has no name."""
    for cell in cells:
        if cell.verdict == "pass" and cell.trace is not None:
            return devices.of(text_files.header(folder / cell.trace)[0])
    return devices.CPU


def write(device: str, found: dict[str, Measured], folder: Path) -> None:
    """As an entry of `harness/judging/devices.toml`."""
    content = {device: {precision: one.model_dump() for precision, one in found.items()}}
    files.replace(folder / FILE, tomli_w.dumps(content))
