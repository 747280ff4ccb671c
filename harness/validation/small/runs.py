"""Which small runs a configuration gets: how many rows, micro-batches and steps each of them has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.intent.intent import Drawn, Intent, Window
from harness.validation.known.ledger import LENGTH, MOST_ACCUMULATED, RANKS
from harness.validation.step.effective import Effective

FIRST = 3
"""Steps of the run that has the schedule of the real training."""
FIRST_INTERPRETED = 2
"""The same where Triton's interpreter runs Liger's kernels."""
INTERPRETED_ROWS = 4
"""Of a rank in a step of that run, unless a micro-batch has more."""
LENGTH_INTERPRETED = 64
"""Tokens of its sequences, where rows share one, which are always full."""
INTERPRETED = ", with Liger's kernels under Triton's interpreter"
WHOLE = 8
"""Steps of the run that sees all of a schedule, in two epochs."""
PACKED = 6
"""Rows that a sequence may share, where rows share one: so many are made for each."""
ASSUMED = 1000
"""Steps of a training of which nobody says how many it has."""
LEAST = 3
"""Micro-batches of a window, where it has so many: of two none is in the middle, and those are what is lost most."""
MOST_ROWS = 32
"""Of a step, as far as so few micro-batches have so few: more cannot be told apart in a small model."""
LIFT = 1000.0
"""Times the norm that gradients are clipped at in the run that sees all of a schedule: clipping hides their scale."""
LONGEST_EPOCH = 16
"""Windows of an epoch, in the run of the first steps where a schedule is over whole epochs."""


@dataclass(frozen=True)
class Run:
    """One small run."""

    name: str
    says: str
    """What it is for, in words."""
    step: Effective
    """What its steps should be: the configuration's, with what is shrunk."""
    accumulation: int
    rows: int
    """Of the dataset."""
    steps: int
    """That are made and recorded."""
    epochs: int | None
    """It trains so many of them; None: it trains by steps."""
    scaled: bool
    """Whether its schedule is over its own steps, and not over those of the training."""
    plain: bool = False
    """Whether it has the plain thing in the place of what the run of the first steps has alone."""
    short: bool = False
    """Whether its rows are as short as can be."""
    length: int = LENGTH
    """Tokens of its longest sequence."""

    @property
    def of_a_step(self) -> int:
        """Rows of a full window, on all ranks."""
        return self.step.micro_batch_size * RANKS * self.accumulation

    @property
    def crowd(self) -> int:
        """Rows among which the words of a step are divided."""
        return MOST_ROWS * RANKS if self.short else self.of_a_step

    @property
    def lifted(self) -> float | None:
        """The norm at which it clips, where that is not the configuration's."""
        return self.step.optimizer.max_grad_norm if self.scaled else None

    @property
    def horizon(self) -> int:
        """Optimizer steps of its schedule."""
        return self.step.horizon or self.steps

    def windows(self) -> tuple[Window, ...]:
        """The micro-batches of each step, by the numbers of their rows in whichever order the framework has them."""
        each = self.step.micro_batch_size
        per_epoch = self.rows // (each * RANKS)
        found: list[Window] = []
        while len(found) < self.steps:
            begun = 0
            while begun < per_epoch and len(found) < self.steps:
                count = min(self.accumulation, per_epoch - begun)
                found.append(tuple(_micro_batch(begun + i, each) for i in range(count)))
                begun += count
        return tuple(found)

    def intent(self, shapes: dict[str, tuple[int, ...]], packs: bool) -> Intent:
        """What each of its steps must be. packs: whether the framework chooses which rows share a sequence.

        Raises ValueError.
        """
        found = self.step.intent(shapes, self.steps, RANKS, self.accumulation)
        if self.step.micro_batch_tokens is not None:
            together = tuple(_together(window) for window in self.windows())
            tokens = self.step.micro_batch_tokens
            return replace(found, micro_batch_tokens=tokens, windows=together, micro_batch_size=len(together[0][0][0]))
        if packs:
            return replace(found, drawn=Drawn(rows=self.rows, epoch=self.rows, free=True, filled=True))
        return replace(found, windows=self.windows())


def _together(window: Window) -> Window:
    """All rows of a rank in one micro-batch: the framework chooses which are in which."""
    return (tuple(tuple(row for ranks in window for row in ranks[rank]) for rank in range(RANKS)),)


def _micro_batch(number: int, each: int) -> tuple[tuple[int, ...], ...]:
    first = number * RANKS * each
    return tuple(tuple(range(first + rank * each, first + (rank + 1) * each)) for rank in range(RANKS))


def runs(
    step: Effective,
    whole_windows: bool,
    least_warmup: int = 1,
    packs: bool = False,
    slow: bool = False,
    plain: bool = False,
) -> Iterator[Run]:
    """Those of a configuration. whole_windows: whether the framework drops a last window that is not full.

    least_warmup: steps that a warm-up has at least, where there is one. packs: whether the framework chooses which rows
    share a sequence: nobody knows then how many steps an epoch has, so that training goes by steps. slow: whether
    Triton's interpreter runs Liger's kernels in the first run, some seconds a row: few and short ones then. plain:
    whether the first run has something alone, so that there is always another one.
    """
    if step.micro_batch_tokens is not None:  # how many rows a micro-batch has follows from these
        step = replace(step, micro_batch_size=1, accumulation=MOST_ACCUMULATED)
    accumulation = _accumulation(step)
    of_first = min(accumulation, max(1, INTERPRETED_ROWS // step.micro_batch_size)) if slow else accumulation
    per_window = step.micro_batch_size * RANKS * (PACKED if packs else 1)
    a_step = per_window * accumulation
    horizon = step.horizon or ASSUMED
    first = min(FIRST_INTERPRETED if slow else FIRST, horizon)
    an_epoch = _epoch(first, horizon) if step.by_epochs else first
    asked, horizon = horizon, math.ceil(horizon / an_epoch) * an_epoch if step.by_epochs else horizon
    said = f"{horizon}" if step.horizon else f"{horizon} (assumed: --rows and --world tell)"
    said += f" (whole epochs; {asked} in truth)" if horizon != asked else ""
    yield Run(
        "first",
        f"the first {first} steps, with the schedule over {said}{INTERPRETED if slow else ''}",
        replace(step, horizon=horizon),
        of_first,
        per_window * of_first * an_epoch,
        first,
        horizon // an_epoch if step.by_epochs else None,
        scaled=False,
        short=slow,
        length=LENGTH_INTERPRETED if slow and packs else LENGTH,
    )
    partial = step.steps is None and accumulation > 1 and not whole_windows and not packs
    if step.optimizer.schedule.constant and not partial and not plain:
        return
    rows = a_step * 3 + step.micro_batch_size * RANKS * (accumulation // 2) if partial else a_step * (WHOLE // 2)
    end = ", the last window of each not full" if partial else ""
    end += ", and nothing clipped, so that the scale shows" if step.optimizer.max_grad_norm else ""
    yield Run(
        "whole",
        f"all of {WHOLE} steps{'' if packs else ' in two epochs'}, with the schedule over them{end}",
        scaled(replace(step, horizon=horizon), WHOLE, least_warmup),
        accumulation,
        rows * 2 if packs else rows,
        WHOLE,
        None if packs else 2,
        scaled=True,
        plain=plain,
    )


def _accumulation(step: Effective) -> int:
    """Of the run; where nobody says how many ranks there are, what the global batch leaves for so many."""
    found = step.accumulation
    if found is None and step.sequences is not None:
        found = max(1, step.sequences // (step.micro_batch_size * RANKS))
    most = min(found or MOST_ACCUMULATED, MOST_ACCUMULATED)
    rows = step.micro_batch_size * RANKS
    return min(most, max(LEAST if rows <= MOST_ROWS else 2, MOST_ROWS // rows))


def _epoch(first: int, horizon: int) -> int:
    """Windows of an epoch of which a whole number makes the horizon, if there is such a one."""
    return next((count for count in range(first, LONGEST_EPOCH + 1) if horizon % count == 0), first)


def scaled(step: Effective, steps: int, least_warmup: int) -> Effective:
    """The same over so many steps, with the same share of what is counted in steps, and with clipping lifted."""
    told, over = step.optimizer.schedule, step.horizon or ASSUMED
    limit = step.optimizer.max_grad_norm

    def share(count: int, least: int = 1) -> int:
        return min(steps - 2, max(least, round(steps * count / over))) if count else 0

    shorter = replace(
        told,
        warmup_steps=share(told.warmup(over), least_warmup),
        warmup_ratio=0.0,
        stable_steps=share(told.stable_steps),
        horizon=0,
    )
    rule = replace(step.optimizer, schedule=shorter, max_grad_norm=None if limit is None else LIFT * limit)
    return replace(step, horizon=steps, steps=None, optimizer=rule)
