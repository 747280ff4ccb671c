"""What small runs train on."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.contract import INTERPRETED, Device

MOST_INTERPRETED = 16
"""Rows of a micro-batch: each takes some seconds."""


@dataclass(frozen=True)
class Machine:
    """A CPU, unless CUDA is asked for."""

    device: Device = "cpu"
    architecture: str = "llama"
    """Of the model, by what transformers calls its `model_type`."""
    rows: int = 1
    """Of a micro-batch."""

    @property
    def cuda(self) -> bool:
        return self.device == "cuda"

    def ranks(self, count: int) -> str:
        """So many of them, in words."""
        return f"{count} CUDA devices" if self.cuda else f"{count} ranks of a CPU"

    @property
    def interprets(self) -> bool:
        """Whether Liger's kernels run by Triton's interpreter, where they are asked for."""
        return not self.cuda and self.why_not_liger is None

    @property
    def why_not_liger(self) -> str | None:
        """Why Liger's kernels do not run: Triton's interpreter has not all that they need, and is slow."""
        if self.cuda:
            return None
        if self.architecture not in INTERPRETED:
            return f"Triton's interpreter does not run its kernels for {self.architecture}"
        if self.rows > MOST_INTERPRETED:
            return f"Triton's interpreter is too slow for {self.rows} rows a micro-batch"
        return None
