"""How rows become optimizer steps."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.contract.checking import require
from adapters.contract.dealing import LastWindow

LIMITS = {"ranks": 1024, "micro_batch_size": 2**16, "accumulation": 2**16, "steps": 2**20}
MOST_SEQUENCES = 2**20
"""Of all steps together: what a run is held against is made of every one of them."""


@dataclass(frozen=True)
class Window:
    """One optimizer step takes `accumulation` micro-batches of every rank."""

    ranks: int = 2
    micro_batch_size: int = 1
    accumulation: int = 4
    steps: int = 3
    last_window: LastWindow = "partial"
    micro_batch_tokens: int | None = None
    """The rows that a rank has in a step are put together anew, as many in a micro-batch as have at most so many
    tokens. Which rows share one, and how many a step has, the framework chooses: it is read from the trace."""
    resume_after: int = 0
    """Optimizer steps after which the run is saved by the framework's own checkpoint and its processes end, for others
    to go on from there; 0 for a run in one piece."""
    resume_ranks: int = 0
    """Ranks that go on from there, fewer than before; 0 for as many. Micro-batches and accumulation stay, so that a
    step has fewer rows."""

    @property
    def sequences_per_step(self) -> int:
        return self.ranks * self.accumulation * self.micro_batch_size

    def check(self) -> None:
        """Raises ValueError, in one line."""
        for name, most in LIMITS.items():
            value = getattr(self, name)
            require(value >= 1, f"window.{name}", value, "at least 1")
            require(value <= most, f"window.{name}", value, f"at most {most}")
        every = self.sequences_per_step * self.steps
        require(every <= MOST_SEQUENCES, "window", f"of {every} sequences", f"of {MOST_SEQUENCES} at most in all steps")
        room = self.micro_batch_tokens
        require(room is None or room >= 2, "window.micro_batch_tokens", room, "at least 2")
        at = self.resume_after
        require(0 <= at < self.steps, "window.resume_after", at, f"0 to {self.steps - 1}")
        fewer = self.resume_ranks
        require(0 <= fewer < self.ranks, "window.resume_ranks", fewer, f"0 to {self.ranks - 1}, fewer than before")
        require(at > 0 or not fewer, "window.resume_ranks", fewer, "0 where window.resume_after is 0")

    def ranks_at(self, step: int) -> int:
        """Ranks that make an optimizer step."""
        return self.resume_ranks if self.resume_ranks and step >= self.resume_after else self.ranks

    def steps_of(self, rank: int, steps: int) -> int:
        """How many of so many optimizer steps a rank is there for."""
        return min(steps, self.resume_after) if 0 < self.resume_ranks <= rank else steps
