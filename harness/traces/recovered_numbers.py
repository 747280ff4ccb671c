"""`recovered.json`: what the oracle recovered from a run, step by step, kept beside its trace for views and reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, TypeAdapter, ValidationError

from harness import files

FILE = "recovered.json"
MAX_BYTES = 8 * 2**20
"""What the catalogue's scenarios leave has some fifty thousand."""

T = TypeVar("T")
# A list that is wrong is wrong at its first item: a million of them must not become a million complaints.
Many = Annotated[tuple[T, ...], FailFast()]

FOREIGN_SHARE = 0.1
"""Share of a gradient that may come from something other than the batch's tokens before their weights mean nothing.

A weight is off by up to that share times the condition number of the tokens' gradients, which is 6 to 10 on the
scenarios: at a tenth, by as much as the weight itself.
"""


def weights_tell(residual: float, tolerance: float) -> bool:
    """Whether what tokens weigh means anything beside a `residual` share of the gradient that they do not explain."""
    return not residual > max(tolerance, FOREIGN_SHARE)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class ConversationWeights(_Record):
    """One conversation as it was trained on."""

    rank: int
    micro_batch: int
    row: int | None
    """Of the scenario; None for tokens that are no row of it."""
    ids: Many[int]
    trained: Many[bool]
    """Whether each token is one of the response's."""
    weights: Many[float]
    """x N, one for each token but the first, which nothing predicts. NaN for a token whose gradient is too short to
    tell its weight."""

    @property
    def of_response(self) -> tuple[float, ...]:
        """Weights x N of the tokens to be trained that can be told.

        A file from elsewhere may hold lists that do not fit each other.
        """
        return tuple(
            w for w, wanted in zip(self.weights, self.trained[1:], strict=False) if wanted and not math.isnan(w)
        )

    @property
    def mean(self) -> float | None:
        """Mean weight x N of the tokens to be trained; None where there is none."""
        found = self.of_response
        return sum(found) / len(found) if found else None


class Compared(_Record):
    """A number of the step as the framework told it, as it was, and as it should have been."""

    reported: float | None
    """None where the framework told nothing."""
    recovered: float | None
    """From the recorded state; None where that does not tell it."""
    right: float
    tolerance: float
    """Relative."""


class TensorStep(_Record):
    """One tensor in one step."""

    name: str
    moved: float
    """L2 norm of its update."""
    off: float
    """L2 distance of its update from that of a right step from the same state, over the norm of the right one."""
    learning_rate: float
    """That it moved by, if one goes by the scenario's rule."""
    weight_decay: float
    """With the step count and the eps that explain the update."""
    right_decay: float


class StepWeights(_Record):
    """One optimizer step."""

    step: int
    targets: int
    """N: tokens to be trained in the global batch."""
    right: float
    """What each trained token should weigh, x N: the clip coefficient."""
    tolerance: float
    """How far from it a token may be."""
    untold: int = 0
    """Tokens whose gradient is too short to tell their weight."""
    residual: float
    """Share of the gradient that the tokens of the batch do not explain."""
    residual_tolerance: float
    loss: Compared
    grad_norm: Compared
    """Before clipping; `recovered` is that of the gradient that the optimizer consumed, after clipping."""
    learning_rate: Compared
    tensors: Many[TensorStep]
    """In the model's order."""
    conversations: Many[ConversationWeights]

    @property
    def tells(self) -> bool:
        """Whether the weights of its tokens mean anything."""
        return weights_tell(self.residual, self.residual_tolerance)


_STEPS = TypeAdapter(Many[StepWeights])


def write(steps: Sequence[StepWeights], trace: Path) -> None:
    """Write the file into a trace's folder, whole or not at all; nothing if there is no step."""
    if steps:
        files.replace(trace / FILE, _STEPS.dump_json(tuple(steps)).decode())


def read(trace: Path) -> tuple[StepWeights, ...]:
    """The steps of a trace; none if the file is missing, a link, too large, or not what `write` leaves."""
    try:
        return _STEPS.validate_json(files.read(trace / FILE, MAX_BYTES, follow=False))
    except (OSError, ValidationError):
        return ()
