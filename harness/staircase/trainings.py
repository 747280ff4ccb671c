"""The training that all arms make, as a scenario; its first steps as another one, which is weighed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.contract import (
    TRAINING,
    Data,
    Model,
    Optimizer,
    Scenario,
    Schedule,
    Sharding,
    Tokenizer,
    Window,
    to_dict,
    vary,
)
from harness import files
from scenarios import checkpoint, sums

WEIGHED = 3
"""First steps that are recorded and weighed. The first has no learning rate: warm-ups of trainers start at 0."""
NAME = "sums"
MICRO_BATCHES, EACH = 8, 2
ROWS = MICRO_BATCHES * EACH
"""Of a step."""


@dataclass(frozen=True)
class Size:
    """How long arms train, and on how much they are evaluated."""

    steps: int
    held_out: int
    """Problems of the evaluation."""


FULL = Size(steps=300, held_out=200)
QUICK = Size(steps=200, held_out=100)
TINY = Size(steps=40, held_out=20)

WARMUP = 10
"""One step in so many, at least one. In steps, for trainers round a share differently."""
OPTIMIZER = Optimizer(learning_rate=3e-3, schedule=Schedule(decay="cosine", least=0.1, warmup_from="zero"))


def training(size: Size, seed: int, sharding: Sharding, changes: Mapping[str, Any] | None = None) -> Scenario:
    """All of it. Weights and rows follow from the seed. changes: other hyperparameters, by the names of their fields.

    One rank, and eight micro-batches of two rows: offload then loses six of eight, as on the paper's eight devices.
    """
    window = Window(ranks=1, micro_batch_size=EACH, accumulation=MICRO_BATCHES, steps=size.steps)
    made = Scenario(
        name=NAME,
        data=Data(()),
        tokenizer=Tokenizer(sums.WORDS),
        model=Model(
            vocab_size=len(sums.WORDS), hidden_size=96, heads=4, kv_heads=4, intermediate_size=192, init_std=0.05
        ),
        window=window,
        optimizer=OPTIMIZER,
        sharding=sharding,
        seed=seed,
    )
    made = vary(made, **(changes or {}))
    made = vary(made, warmup_steps=max(1, made.window.steps // WARMUP))
    rows = sums.for_training(made.rows_per_step * made.window.steps, seed)
    whole = vary(made, rows=tuple(problem.row for problem in rows))
    whole.check()
    return whole


def first_steps(whole: Scenario, name: str) -> Scenario:
    """The first steps of a training, as a scenario of their own: its schedule is that of all of it."""
    steps = min(WEIGHED, whole.window.steps)
    rows = whole.data.rows[: whole.rows_per_step * steps]
    return replace(vary(whole, steps=steps, rows=rows, horizon=whole.window.steps), name=name)


def write(whole: Scenario, folder: Path) -> None:
    """The checkpoint that every arm begins with."""
    checkpoint.write(whole, folder)
    files.replace(folder / TRAINING, json.dumps(to_dict(whole)))
