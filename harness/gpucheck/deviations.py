"""How far clean cells were off, in units of their floors: what the margin has to cover."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from harness.judging.evidence import StepEvidence
from harness.oracle import floor
from harness.oracle.floor import MARGIN, Floor, State

FILE = "deviations.json"
"""Beside the trace of a cell."""

WORDS = {
    "token": "weight of a token, relative to the largest",
    "row": "mean weight of a conversation's tokens",
    "residual": "residual of the gradient",
    "loss": "loss, relative",
    "norm": "gradient norm, relative",
    "second": "second moment",
    "beta1": "beta1, absolute",
    "beta2": "beta2, absolute",
    "learning_rate": "learning rate of a tensor",
    "decay": "weight decay of a tensor, absolute",
    "update": "update outside of AdamW's rule",
}
"""In the order of docs/floors.md."""


@dataclass(frozen=True)
class Need:
    """One quantity over many cells."""

    quantity: str
    floor: float
    """Median over the cells."""
    largest: float
    """Of any step, in floors; MARGIN are allowed."""
    cell: str
    """Where that was."""


def of_step(evidence: StepEvidence) -> dict[str, float]:
    """Deviation of every quantity of one step in units of its floor."""
    recorded, right = evidence.recorded, evidence.right
    told = recorded.reported
    states = recorded.states
    after = State(
        {n: s.after for n, s in states.items()},
        {n: s.first for n, s in states.items()},
        {n: s.second for n, s in states.items()},
    )
    norm = told.grad_norm if told.grad_norm is not None else right.norm
    loss = told.loss if told.loss is not None else right.loss
    found = floor.deviations(right, recorded.before, after, norm, loss)
    units = {f.name: getattr(found, f.name) / getattr(evidence.floor, f.name) for f in fields(Floor)}
    return units | _of_updates(evidence)


def _of_updates(evidence: StepEvidence) -> dict[str, float]:
    """A tensor's own standard error stands in for a floor that is below it, as in harness.judging.checks.update."""
    noise, right = evidence.floor, evidence.scheduled_rate
    updates = evidence.update.explained
    moving = updates if right else ()
    return {
        "learning_rate": max(
            (abs(u.learning_rate / right - 1) / max(noise.learning_rate, u.rate_error) for u in moving), default=0.0
        ),
        "decay": max(
            (
                abs(u.weight_decay - evidence.expected_decay(u.tensor))
                / max(noise.decay, u.decay_error, u.decay_bound / MARGIN)
                for u in moving
            ),
            default=0.0,
        ),
        "update": max((u.residual / max(noise.update, u.residual_bound / MARGIN) for u in updates), default=0.0),
    }


def write(steps: Iterable[StepEvidence], folder: Path) -> None:
    """Keep floor and deviations of a cell beside its trace."""
    steps = list(steps)
    content = {
        "floor": {f.name: getattr(steps[0].floor, f.name) for f in fields(Floor)},
        "steps": [of_step(step) for step in steps],
    }
    (folder / FILE).write_text(json.dumps(content))


def needs(traces: Mapping[str, Path]) -> list[Need]:
    """Every quantity over cells, given the folders of their traces by name; a cell without the file is left out."""
    cells = {n: json.loads((p / FILE).read_text()) for n, p in traces.items() if (p / FILE).exists()}
    result = []
    for quantity in WORDS if cells else ():
        worst = {name: max(step[quantity] for step in cell["steps"]) for name, cell in cells.items()}
        at = max(worst, key=lambda name: worst[name])
        middle = statistics.median(cell["floor"][quantity] for cell in cells.values())
        result.append(Need(quantity, middle, worst[at], at))
    return result
