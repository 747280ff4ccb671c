"""What the steps of a run should have been, wherever that was written: in a scenario, or in somebody's configuration.

It says what was wanted. What was run (the model, the tokens) is the trace's to tell.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Sequence
from dataclasses import field, replace
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from adapters.contract import SQUARES, Compute, Masters, Reduction
from harness.intent.objective import Level, Policy, Preferences
from harness.intent.schedule import MOST, STRICT, Many, Schedule, require

MAX_STEPS = 1000

Positive = Annotated[float, Field(gt=0, le=1e30)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=MOST)]

Trained = Literal["responses", "last-answer", "everything", "no-eos", "no-first", "with-tag", "as-marked"]
"""Which tokens are trained. `responses`: those of the scenario's row, or the labels' where a sequence is no row of it;
`last-answer`: those of the last response of each row; `as-marked`: by the labels that the model received. The others
are made of the responses."""


@dataclass(frozen=True, config=STRICT)
class TokenLoss:
    """The loss of one token, whose gradient its weight multiplies: its negative log-likelihood, unless changed."""

    label_smoothing: Share = 0.0
    """Share of the mean of -log p over the whole vocabulary, which takes the place of as much of the target's."""
    by_probability: bool = False
    """Whether it is multiplied by the target's own probability, through which nothing is differentiated (DFT)."""


Rows = Many[Annotated[int, Field(ge=0, le=MOST)]]
"""Indices into the scenario's rows."""
Window = Many[Many[Rows]]
"""The global batch of an optimizer step: [micro-batch][rank], the rows of each."""


@dataclass(frozen=True, config=STRICT)
class Mean:
    """The mean over parts of the window, each of them the mean over its trained tokens."""

    over: Level = "token"
    kind: Literal["mean"] = "mean"


@dataclass(frozen=True, config=STRICT)
class Sum:
    """The sum over the window's trained tokens, divided by a constant."""

    constant: Annotated[float, Field(ge=1e-12, le=1e12)] = 1.0
    kind: Literal["sum"] = "sum"


@dataclass(frozen=True, config=STRICT)
class Given:
    """A weight for each token, as advantages are, divided by whatever they are divided by."""

    weights: Many[Many[Annotated[float, Field(ge=-1e12, le=1e12)]]]
    """[row of the scenario][token]; those of tokens that are not trained count for nothing."""
    kind: Literal["given"] = "given"


Aggregation = Annotated[Mean | Sum | Given | Preferences | Policy, Field(discriminator="kind")]


@dataclass(frozen=True, config=STRICT)
class Group:
    """Parameters that are updated alike."""

    tensors: Annotated[Many[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=10_000)]
    """Names, or shell patterns of names."""
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    rate: Positive = 1.0
    """Learning rate, as a multiple of the schedule's."""

    def holds(self, tensor: str) -> bool:
        return tensor in self.tensors or any(fnmatch.fnmatchcase(tensor, name) for name in self.tensors)


@dataclass(frozen=True, config=STRICT)
class Rule:
    """AdamW as in Loshchilov & Hutter 2019, bias-corrected; or SGD with momentum m = momentum m' + g, and steps of
    - rate m; or, with steps of - rate g / (sqrt(v) + eps), Adagrad, v = v' + g^2 (Duchi et al. 2011), and RMSprop,
    v = alpha v' + (1 - alpha) g^2. Of all but AdamW g = G + decay theta."""

    groups: Annotated[Many[Group], Field(min_length=1, max_length=100)]
    """A tensor is in the first that holds it."""
    learning_rate: Positive = 1e-3
    """What the schedule starts from."""
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Annotated[float, Field(gt=0, lt=1)] = 1e-8
    """Above 0: what was never trained would have no update else, but 0/0."""
    name: Literal["adamw", "sgd", "adagrad", "rmsprop"] = "adamw"
    momentum: Share = 0.0
    """Of `sgd`, which has neither betas nor eps."""
    alpha: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the squares that a step keeps, of `rmsprop` (None: 0.99) and `adagrad` (1)."""

    def __post_init__(self) -> None:
        said = "0 with adamw, which has beta1 for it" if self.name == "adamw" else f"0 with {self.name}"
        require(self.name == "sgd" or not self.momentum, "momentum", self.momentum, said)
        require(self.holds_squares or self.alpha is None, "alpha", self.alpha, f"none with {self.name}")

    @property
    def holds_squares(self) -> bool:
        """Whether the optimizer's state is the squares of its gradients alone."""
        return self.name in SQUARES

    @property
    def kept(self) -> float:
        """Share of its moment that a step keeps: the first one, or the squares where there is nothing else."""
        if self.holds_squares:
            return _ALPHA[self.name] if self.alpha is None else self.alpha
        return self.momentum if self.name == "sgd" else self.beta1

    @property
    def added(self) -> float:
        """Share of a gradient's squares that a step adds to them, where there is nothing else."""
        return 1.0 if self.name == "adagrad" else 1.0 - self.kept

    def keeping(self, share: float) -> Rule:
        """The same with another share of what `kept` is of."""
        if self.holds_squares:
            return replace(self, alpha=share)
        return replace(self, momentum=share) if self.name == "sgd" else replace(self, beta1=share)


_ALPHA = {"adagrad": 1.0, "rmsprop": 0.99}


@functools.lru_cache(maxsize=4096)
def _group(groups: Sequence[Group], tensor: str) -> Group:
    found = next((group for group in groups if group.holds(tensor)), None)
    if found is None:
        raise ValueError(f"no group of the intent holds the tensor {tensor}")
    return found


@dataclass(frozen=True, config=STRICT)
class Drawn:
    """Rows that the framework chooses, by an order that it draws or by packing. Which they were is read from the trace
    (`harness.intent.received`); here stands what must hold of them: every row is trained once in an epoch."""

    rows: Count
    """There are rows 0 to rows - 1."""
    epoch: Count
    """How many rows an epoch trains. Fewer than `rows`: those that its order has last are dropped. More: those that it
    has first are trained again, so that every rank has a whole last micro-batch."""
    anew: bool = True
    """Whether each epoch has another order than the one before."""
    free: bool = False
    """Whether any order is right, also the given one: it is chosen, not drawn."""
    filled: bool = False
    """Whether an epoch may end with sequences that it had first, so that every rank has a whole last micro-batch: how
    many rows these have, nobody knows beforehand, and `epoch` does not count them."""
    grouped: bool = False
    """Whether rows of about one length come together (`harness.intent.grouped`)."""
    begins: Many[Count] = ()
    """Where epochs begin in what was received, from the second one on, counted in rows; without them, every `epoch`
    rows."""

    def begun(self, count: int) -> list[int]:
        """Where the epochs of the first `count` rows begin."""
        begins = self.begins or range(self.epoch, count, self.epoch)
        return [0, *(begin for begin in begins if begin < count)]


@dataclass(frozen=True, config=STRICT)
class Intent:
    """What every step of a run should have been."""

    rule: Rule
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    ranks: Annotated[int, Field(ge=1, le=1024)]
    accumulation: Count
    """Micro-batches of a rank in a step; the last window of an epoch may have fewer."""
    micro_batch_size: Count = 1
    """Sequences of a micro-batch."""
    micro_batch_tokens: Count | None = None
    """Of a micro-batch at most, where the framework puts the rows of a step together by them: `windows` say which rows
    a step has, and in which micro-batch they were is read from the trace (`harness.intent.received`)."""
    rows_per_sequence: Count = 1
    windows: Many[Window] | None = None
    """For each step, which rows are in which micro-batch on which rank; None where any rows are right."""
    drawn: Drawn | None = None
    """Where the framework chooses the rows. The numbers in `windows` are then places in its order instead of rows;
    without windows it chooses also how many rows each has."""
    trained: Trained = "responses"
    aggregation: Aggregation = field(default_factory=Mean)
    max_grad_norm: Positive | None = None
    schedule: Schedule = field(default_factory=Schedule)
    precision: Compute = "fp32"
    masters: Masters = "fp32"
    """What the optimizer updates: float32 copies of what the model computes with, or that itself, its moments in the
    same dtype."""
    reduction: Reduction = "own"
    """What gradients are reduced over the ranks in; `own` asks for nothing."""
    loss_scale: Positive | None = None
    """What the loss is multiplied by before the first backward pass in fp16, halved by every step that overflows, which
    is then skipped; None where that is not known."""
    auxiliary: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """Coefficient of the load-balancing loss of a router, the mean over the forward passes of a step."""
    token_loss: TokenLoss = field(default_factory=TokenLoss)

    def __post_init__(self) -> None:
        rates = [self.schedule_rate(step) for step in range(self.steps)]
        if not any(rates):
            raise ValueError("schedule leaves every step without a learning rate, expected one above 0")
        if self.rule.holds_squares and not all(rates):
            still = f"step {rates.index(0.0)} without a learning rate, which tells the signs of its gradient"
            raise ValueError(f"schedule leaves {still} with {self.rule.name}, expected one above 0")
        if self.windows is None:
            return
        require(len(self.windows) == self.steps, "windows", len(self.windows), f"one for each of {self.steps} steps")
        for window in self.windows:
            fits = 1 <= len(window) <= self.accumulation
            require(fits, "windows", len(window), f"1 to {self.accumulation} micro-batches each")
            for ranks in window:
                require(len(ranks) == self.ranks, "windows", len(ranks), f"{self.ranks} ranks in a micro-batch")

    def composed(self, windows: Many[Window]) -> Intent:
        """The same with such micro-batches, the most and the largest of which say what a window and a micro-batch
        have."""
        most = max(map(len, windows))
        largest = max(len(rows) for window in windows for ranks in window for rows in ranks)
        return replace(self, windows=windows, accumulation=most, micro_batch_size=max(largest, 1))

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
        """Decay of the parameters themselves. Raises ValueError for a tensor in no group."""
        return _group(self.rule.groups, tensor).weight_decay if self.rule.name == "adamw" else 0.0

    def decay_in_gradient(self, tensor: str) -> float:
        """Decay that is part of the gradient. Raises ValueError for a tensor in no group."""
        return 0.0 if self.rule.name == "adamw" else _group(self.rule.groups, tensor).weight_decay

    def micro_batches(self, step: int) -> int:
        """Micro-batches that a rank has in the window of a step (from 0)."""
        return self.accumulation if self.windows is None else len(self.windows[step])

    def rows(self, step: int) -> list[int] | None:
        """Rows that the global batch of a step should hold, in order; None where any are right. For `drawn` ones of an
        intent that `received.resolved` has made."""
        if self.windows is None:
            return None
        return [row for micro_batch in self.windows[step] for rows in micro_batch for row in rows]
