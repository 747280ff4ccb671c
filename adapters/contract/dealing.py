"""How rows are dealt to optimizer steps, micro-batches and ranks, epoch after epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LastWindow = Literal["partial", "filled", "dropped", "carried"]
"""What becomes of rows at the end of an epoch that do not fill an optimizer step.

`partial`: they are a step of their own, of fewer micro-batches, divided by its own tokens. `filled`: the first rows of
that epoch are trained again to fill it. `dropped`: nobody trains them in that epoch. `carried`: the first rows of the
next epoch fill it."""


@dataclass(frozen=True)
class Dealing:
    """Sequences in the order of an epoch, dealt to the ranks in turn, a micro-batch each, as accelerate's
    BatchSamplerShard does: what all ranks have at once is a round."""

    sequences: int
    """Of an epoch."""
    ranks: int
    micro_batch_size: int
    accumulation: int
    last_window: LastWindow = "partial"

    @property
    def rounds(self) -> int:
        """Of an epoch. A last one that is not whole is filled up with the epoch's first sequences if its window is
        `partial`, as accelerate has it (`even_batches`), and dropped if it is `carried`."""
        each = self.ranks * self.micro_batch_size
        begun, whole = -(-self.sequences // each), self.sequences // each
        return {
            "partial": begun,
            "filled": begun + -begun % self.accumulation,
            "dropped": whole - whole % self.accumulation,
            "carried": whole,
        }[self.last_window]

    @property
    def trained(self) -> int:
        """Sequences that an epoch trains, those counted twice that are trained again to fill its last round."""
        return self.rounds * self.ranks * self.micro_batch_size

    @property
    def uneven(self) -> bool:
        """Whether an epoch is no whole number of full windows."""
        return self.sequences % (self.ranks * self.micro_batch_size * self.accumulation) > 0

    def steps(self, epochs: int) -> int:
        """Optimizer steps that so many epochs have."""
        if self.last_window == "partial":
            return epochs * -(-self.rounds // self.accumulation)
        return epochs * self.rounds // self.accumulation

    def needed(self, steps: int, epochs: int) -> int:
        """The fewest sequences of an epoch with which so many epochs have so many steps."""
        each = self.ranks * self.micro_batch_size
        if self.last_window == "carried":
            return -(-steps * self.accumulation // epochs) * each
        whole, window = -(-steps // epochs), each * self.accumulation
        return whole * window if self.last_window == "dropped" else (whole - 1) * window + 1

    def window(self, step: int) -> tuple[int, int, int]:
        """The epoch in which a step begins, its first round in that epoch, and how many rounds it has."""
        if self.last_window == "partial":
            epoch, number = divmod(step, self.steps(1))
            first = number * self.accumulation
            return epoch, first, min(self.accumulation, self.rounds - first)
        return *divmod(step * self.accumulation, self.rounds), self.accumulation

    def epoch(self, step: int, number: int) -> int:
        """That of a micro-batch, from 0."""
        epoch, first, _ = self.window(step)
        return epoch + (first + number) // self.rounds

    def micro_batch(self, step: int, number: int, rank: int) -> list[int]:
        """The sequences of a micro-batch, by their place in the order of the epoch."""
        _, first, _ = self.window(step)
        at = (first + number) % self.rounds
        begin = (at * self.ranks + rank) * self.micro_batch_size
        return [s % self.sequences for s in range(begin, begin + self.micro_batch_size)]
