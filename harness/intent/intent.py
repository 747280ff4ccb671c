"""What the steps of a run should have been, wherever that was written: in a scenario, or in somebody's configuration.

It says what was wanted. What was run (the model, the tokens) is the trace's to tell.
"""

from __future__ import annotations

import fnmatch
import functools
from dataclasses import dataclass, field
from typing import Literal

from adapters.contract import Precision

Trained = Literal["responses", "everything", "no-eos", "no-first", "with-tag", "as-marked"]
"""Which tokens are trained. `responses`: those of the scenario's row, or the labels' where a sequence is no row of it;
`as-marked`: by the labels that the model received. The others are made of the responses."""
Level = Literal["token", "micro-batch", "rank", "micro-step", "row"]
"""What is averaged by itself before the mean over all of them is taken; for `token`, nothing is."""

Rows = tuple[int, ...]
"""Indices into the scenario's rows."""
Window = tuple[tuple[Rows, ...], ...]
"""The global batch of an optimizer step: [micro-batch][rank], the rows of each."""


@dataclass(frozen=True)
class Mean:
    """The mean over parts of the window, each of them the mean over its trained tokens."""

    over: Level = "token"
    kind: Literal["mean"] = "mean"


@dataclass(frozen=True)
class Sum:
    """The sum over the window's trained tokens, divided by a constant."""

    constant: float = 1.0
    kind: Literal["sum"] = "sum"


@dataclass(frozen=True)
class Given:
    """A weight for each token, as advantages are, divided by whatever they are divided by."""

    weights: tuple[tuple[float, ...], ...]
    """[row of the scenario][token]; of tokens that are not trained, and of a row's first one, they count for nothing."""
    kind: Literal["given"] = "given"


Aggregation = Mean | Sum | Given


@dataclass(frozen=True)
class Group:
    """Parameters that are updated alike."""

    tensors: tuple[str, ...]
    """Names, or shell patterns of names."""
    weight_decay: float = 0.0
    rate: float = 1.0
    """Learning rate, as a multiple of the schedule's."""

    def holds(self, tensor: str) -> bool:
        return tensor in self.tensors or any(fnmatch.fnmatchcase(tensor, name) for name in self.tensors)


@dataclass(frozen=True)
class Rule:
    """AdamW as in Loshchilov & Hutter 2019, bias-corrected."""

    groups: tuple[Group, ...]
    """A tensor is in the first that holds it."""
    learning_rate: float = 1e-3
    """What the schedule starts from."""
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    name: Literal["adamw"] = "adamw"


@functools.lru_cache(maxsize=4096)
def _group(groups: tuple[Group, ...], tensor: str) -> Group:
    found = next((group for group in groups if group.holds(tensor)), None)
    if found is None:
        raise ValueError(f"no group of the intent holds the tensor {tensor}")
    return found


@dataclass(frozen=True)
class Schedule:
    """The learning rate as a function of the step."""

    kind: Literal["constant", "linear-warmup", "given"] = "constant"
    warmup_steps: int = 0
    """With `linear-warmup`, step k (from 0) has min(1, (k + 1) / warmup_steps) of the rate."""
    factors: tuple[float, ...] = ()
    """With `given`, step k has factors[k] of the rate, and the last of them from there on."""

    def rate(self, base: float, step: int) -> float:
        """The learning rate of optimizer step `step` (from 0); 0 before the first of `given` factors."""
        if self.kind == "given":
            return base * self.factors[min(step, len(self.factors) - 1)] if step >= 0 else 0.0
        if self.kind == "constant" or step + 1 >= self.warmup_steps:
            return base
        return base * (step + 1) / self.warmup_steps


@dataclass(frozen=True)
class Intent:
    """What every step of a run should have been."""

    rule: Rule
    steps: int
    ranks: int
    accumulation: int
    """Micro-batches of a rank in a step."""
    micro_batch_size: int = 1
    """Sequences of a micro-batch."""
    rows_per_sequence: int = 1
    windows: tuple[Window, ...] | None = None
    """For each step, which rows are in which micro-batch on which rank; None where any rows are right."""
    trained: Trained = "responses"
    aggregation: Aggregation = field(default_factory=Mean)
    max_grad_norm: float | None = None
    schedule: Schedule = field(default_factory=Schedule)
    precision: Precision = "fp32"

    @property
    def uniform(self) -> bool:
        """Whether all trained tokens of a window weigh alike."""
        return isinstance(self.aggregation, Sum) or self.aggregation == Mean("token")

    def schedule_rate(self, step: int) -> float:
        """Learning rate of optimizer step `step` (from 0), as a log tells it."""
        return self.schedule.rate(self.rule.learning_rate, step)

    def learning_rate(self, step: int, tensor: str) -> float:
        """Learning rate of a tensor at optimizer step `step` (from 0). Raises ValueError for one in no group."""
        return self.schedule_rate(step) * _group(self.rule.groups, tensor).rate

    def rate_factor(self, tensor: str) -> float:
        """Learning rate of a tensor over that of the schedule. Raises ValueError for one in no group."""
        return _group(self.rule.groups, tensor).rate

    def weight_decay(self, tensor: str) -> float:
        """Raises ValueError for a tensor in no group."""
        return _group(self.rule.groups, tensor).weight_decay

    def rows(self, step: int) -> list[int] | None:
        """Rows that the global batch of a step should hold, in order; None where any are right."""
        if self.windows is None:
            return None
        return [row for micro_batch in self.windows[step] for rows in micro_batch for row in rows]
