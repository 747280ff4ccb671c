"""What is made of each sampling of completions: mini-batches, and how often they are gone through."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.contract import Scenario


@dataclass(frozen=True)
class Rollout:
    """The completions of one sampling: rows of the scenario by rank and mini-batch, each an optimizer step."""

    rows: tuple[tuple[tuple[int, ...], ...], ...]
    """Of each rank, those of each of its mini-batches."""
    epochs: int
    """How often the mini-batches are trained, in the same order."""

    @property
    def steps(self) -> int:
        """Mini-batches that are gone through in each epoch."""
        return len(self.rows[0])

    @property
    def share(self) -> int:
        """Rows of a mini-batch on one rank."""
        return len(self.rows[0][0])

    @property
    def numbers(self) -> list[int]:
        """Of its rows, those of a rank behind those of the one before."""
        return [row for batches in self.rows for batch in batches for row in batch]

    @property
    def every(self) -> list[int]:
        """All rows that were sampled, so that those of a group follow each other."""
        return sorted(set(self.numbers))


def dealt(scenario: Scenario) -> list[Rollout]:
    """The rollouts of a run, its order given. Steps that come round to the rows that they began with are epochs."""
    steps, each = scenario.window.steps, scenario.objective.rollout_steps
    ranks = range(scenario.window.ranks)
    found = []
    for first in range(0, steps, each):
        made = [[_rows(scenario, step, rank) for rank in ranks] for step in range(first, min(first + each, steps))]
        periods = (p for p in range(1, len(made) + 1) if len(made) % p == 0)
        period = next(p for p in periods if made == made[:p] * (len(made) // p))
        rows = tuple(tuple(batch[rank] for batch in made[:period]) for rank in ranks)
        found.append(Rollout(rows, len(made) // period))
    return found


def _rows(scenario: Scenario, step: int, rank: int) -> tuple[int, ...]:
    """Of an optimizer step on one rank, micro-batch by micro-batch."""
    return tuple(
        row
        for number in range(scenario.micro_batches(step))
        for sequence in scenario.sequence_rows(step, number, rank)
        for row in sequence
    )
