"""What ranks must know of each other, by files in the recording's folder: no communication of the training is used.

When an optimizer steps, every rank has gone through its forward passes, so that the files are there or nearly so.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from lockstep_recorder.names import EXCHANGE

PATIENCE = 20.0
"""Seconds that the other ranks' files are waited for."""


class Alone(Exception):
    """Other ranks' files did not come."""


def united(folder: Path, step: int, rank: int, world: int, indices: Tensor) -> Tensor:
    """The sorted union of every rank's `indices`, int64 [n]. Raises Alone."""
    mine: Tensor = torch.unique(indices.cpu())
    if world == 1:
        return mine
    place = folder / EXCHANGE
    place.mkdir(exist_ok=True)
    partial = place / f"{step:06d}-r{rank:02d}.partial"
    partial.write_bytes(mine.numpy().tobytes())
    partial.replace(partial.with_suffix(".ids"))
    until = time.monotonic() + PATIENCE
    wanted = [place / f"{step:06d}-r{other:02d}.ids" for other in range(world)]
    while not all(path.exists() for path in wanted):
        if time.monotonic() > until:
            raise Alone(f"no token ids of the other ranks came into the folder within {PATIENCE:.0f} s")
        time.sleep(0.002)
    read = [torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.int64) for path in wanted]
    (place / f"{step - 1:06d}-r{rank:02d}.ids").unlink(missing_ok=True)  # all have read it by now
    every: Tensor = torch.unique(torch.cat(read))
    return every
