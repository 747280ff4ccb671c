"""Devices on which it was measured that right cells stay within the margin of floors, which are simulated on a CPU."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, RootModel

from harness import tables
from harness.traces.text_files import Header

FILE = Path(__file__).with_name("devices.toml")
CPU = "CPU"
"""Of every kind: `docs/floors.md`."""


class Measured(BaseModel):
    """Right cells of one precision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cells: int
    floor: dict[str, float]
    """By quantity, the median over the cells."""
    largest: dict[str, float]
    """By quantity, the largest deviation of any step, in floors."""


class _Measured(RootModel[dict[str, dict[str, Measured]]]):
    """By the name of a device and the precision that was computed in."""


@cache
def measured() -> dict[str, dict[str, Measured]]:
    """What `make gpu-check` has measured on cards."""
    return tables.read(FILE, _Measured).root


def of(header: Header) -> str:
    """The name of the device that a trace was made on."""
    name = header.hardware.get("device")
    return name if isinstance(name, str) and name else CPU


def unmeasured(header: Header, precision: str) -> bool:
    """Whether nobody has measured yet how far a right cell is off on the trace's device."""
    device = of(header)
    return device != CPU and precision not in measured().get(device, {})
