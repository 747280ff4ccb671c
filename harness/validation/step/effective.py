"""The effective step as a configuration asks for it, whatever framework it is of; an intent is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from adapters.contract import Compute, Masters, Optimizer, Reduction, Schedule
from harness.intent import of_scenario
from harness.intent.intent import Aggregation, Intent, Mean, TokenLoss, Trained

Dtype = Literal["fp32", "bf16", "fp16"]

NOMINAL = 10_000
"""Steps of a training of which nobody knows how many it has, where shares of it are told."""


PLAIN = "as the rows stand there, with the tokenizer's EOS"
"""How texts are written that no template is for."""


@dataclass(frozen=True)
class Precision:
    """Which numbers are held and reckoned in what."""

    compute: Compute = "fp32"
    weights: Dtype = "fp32"
    """What the model holds."""
    masters: Masters = "fp32"
    reduction: Reduction = "own"


@dataclass(frozen=True)
class Effective:
    """What an optimizer step should be."""

    micro_batch_size: int
    accumulation: int | None
    """None where it follows from how many ranks there are, which nobody has said."""
    ranks: int | None
    sequences: int | None
    """Of the global batch."""
    optimizer: Optimizer
    strange: str | None = None
    """The optimizer, where no intent says its rule: what `optimizer` says of its moments is nothing then."""
    epochs: float | None = None
    steps: int | None = None
    """Where the configuration says them itself; they come before epochs."""
    horizon: int | None = None
    """Steps of the whole training, where they can be told."""
    by_batch: bool = False
    """Whether the global batch is what is said, and accumulation what follows."""
    by_epochs: bool = False
    """Whether a schedule is as long as the epochs are, and cannot be said otherwise."""
    trained: Trained = "responses"
    aggregation: Aggregation = field(default_factory=Mean)
    precision: Precision = field(default_factory=Precision)
    token_loss: TokenLoss = field(default_factory=TokenLoss)
    auxiliary: float = 0.0
    micro_batch_tokens: int | None = None
    """Of a micro-batch of a small run at most, where rows are put together by tokens."""
    longest: int | None = None
    """Tokens of a row at most; None where none is cut, or nobody says."""
    too_long: str = ""
    """What becomes of a longer one, in words."""
    turns: str = ""
    """By which template texts are written, in words."""
    because: Mapping[str, str] = field(default_factory=dict)
    """By what is decided: who decides it, and over whom."""
    not_covered: tuple[str, ...] = ()
    """What of it no intent says, a sentence each."""
    odd: tuple[str, ...] = ()
    """What nobody may have meant, a sentence each."""
    refused: tuple[str, ...] = ()
    """Why the framework would not start, a sentence each."""

    def intent(
        self, shapes: Mapping[str, Sequence[int]], steps: int, ranks: int, accumulation: int | None = None
    ) -> Intent:
        """What each of the first steps of a run of it must be.

        shapes: of the parameters, by name. ranks, accumulation: those of the run, which may have fewer. Raises
        ValueError for what nobody knows before it is run: the horizon of a schedule, or how much is accumulated.
        """
        found = self.accumulation if accumulation is None else accumulation
        if found is None:
            raise ValueError("accumulation is not said, expected a number")
        if self.horizon is None and not self.optimizer.schedule.constant:
            raise ValueError("the horizon of the schedule is not said, expected a number of steps")
        return Intent(
            rule=of_scenario.rule(self.optimizer, shapes),
            steps=steps,
            ranks=ranks,
            accumulation=found,
            micro_batch_size=self.micro_batch_size,
            trained=self.trained,
            aggregation=self.aggregation,
            max_grad_norm=self.optimizer.max_grad_norm,
            schedule=of_scenario.schedule(
                _rising(self.optimizer.schedule, self.horizon or steps), self.horizon or steps
            ),
            precision=self.precision.compute,
            masters=self.precision.masters,
            reduction=self.precision.reduction,
            auxiliary=self.auxiliary,
            token_loss=self.token_loss,
        )


def _rising(told: Schedule, horizon: int) -> Schedule:
    """Without its fall, where its warm-up takes all of the steps."""
    return replace(told, decay="none", stable_steps=0) if told.warmup(horizon) >= horizon else told


def landmarks(step: Effective) -> list[tuple[str, float]]:
    """The learning rate at the first steps, and at the end of each phase: the place, and the rate."""
    told, base = step.optimizer.schedule, step.optimizer.learning_rate
    steps = step.horizon or max(NOMINAL, 20 * told.warmup_steps)
    if told.constant:
        return [("every step", base)]
    warmup, known = told.warmup(steps), step.horizon is not None
    first = [at for at in (0, 1, 2) if known or at == 0 or at <= told.warmup_steps]
    peak = [max(0, warmup - 1), warmup] if known else [warmup]
    last = [(warmup + steps) // 2, steps - 1] if known else [(warmup + steps) // 2, steps]
    places = [*first, *peak, *(last if told.decay != "none" else [])]
    return [
        (_place(at, steps, step), base * told.factor(at, steps))
        for at in dict.fromkeys(places)
        if at < steps + (not known)
    ]


def _place(at: int, steps: int, step: Effective) -> str:
    told = step.optimizer.schedule
    if step.horizon is not None or at <= max(2, told.warmup_steps):
        return f"step {at}"
    return "at the end" if at == steps else f"{100 * at / steps:.3g} % of all steps"


def shape(told: Schedule) -> str:
    """A schedule in words."""
    if told.constant:
        return "constant"
    rises = "first" if told.warmup_from == "first" else "zero"
    log = ", by its logarithm" if told.warmup_shape == "log" else ""
    length = f"{100 * told.warmup_ratio:g} % of the steps" if told.warmup_ratio else f"{told.warmup_steps} steps"
    warm = (
        f"a warm-up of {length}{' from 0' if rises == 'zero' else ''}{log}"
        if told.warmup_ratio or told.warmup_steps
        else ""
    )
    held = f"{told.stable_steps} steps at the whole rate" if told.stable_steps else ""
    names = {
        "none": "then constant",
        "linear": "a linear fall",
        "cosine": "half a cosine",
        "polynomial": f"a polynomial fall (power {told.power:g})",
        "one-minus-sqrt": "a fall by 1 - sqrt",
    }
    to = "" if told.decay == "none" else f" to {100 * told.least:.3g} %" if told.least else " to 0"
    return ", ".join(filter(None, [warm, held, names[told.decay] + to]))


def horizon(rows: int | None, step: Effective, whole: bool) -> int | None:
    """Optimizer steps of a training by epochs over so many rows. whole: windows that are not full are dropped."""
    if step.steps is not None:
        return step.steps
    if rows is not None and step.by_batch and step.sequences is not None and step.epochs is not None:
        return max(1, math.ceil(step.epochs * max(1, rows // step.sequences)))
    if rows is None or step.ranks is None or step.accumulation is None or step.epochs is None:
        return None
    batches = rows / (step.micro_batch_size * step.ranks)
    batches = math.floor(batches) if whole else math.ceil(batches)
    each = batches // step.accumulation if whole else math.ceil(batches / step.accumulation)
    return max(1, math.ceil(step.epochs * max(1, each)))
