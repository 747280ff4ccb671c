"""How rows become optimizer steps."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.contract.checking import require
from adapters.contract.dealing import LastWindow


@dataclass(frozen=True)
class Window:
    """One optimizer step takes `accumulation` micro-batches of every rank."""

    ranks: int = 2
    micro_batch_size: int = 1
    accumulation: int = 4
    steps: int = 3
    last_window: LastWindow = "partial"
    resume_after: int = 0
    """Optimizer steps after which the run is saved by the framework's own checkpoint and its processes end, for others
    to go on from there; 0 for a run in one piece."""

    @property
    def sequences_per_step(self) -> int:
        return self.ranks * self.accumulation * self.micro_batch_size

    def check(self) -> None:
        """Raises ValueError, in one line."""
        for name in ("ranks", "micro_batch_size", "accumulation", "steps"):
            value = getattr(self, name)
            require(value >= 1, f"window.{name}", value, "at least 1")
        at = self.resume_after
        require(0 <= at < self.steps, "window.resume_after", at, f"0 to {self.steps - 1}")
