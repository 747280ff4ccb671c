"""`staircase.json`: every training of every arm, what each fix is worth, and which claims that supports."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from harness import documents
from harness.seeds import ClaimRecord, Number, Record

FILE = "staircase.json"
MAX_BYTES = 64 * 2**20

State = Literal["trained", "unsupported", "unknown"]
"""`unknown`: it crashed, or could not be read."""
Role = Literal["factorial", "control", "independent", "hyperparameters"]
"""`factorial`: one of the combinations of fixes; `control`: nothing is offloaded, and nothing fixed."""
Metric = Literal["accuracy", "nll"]


class UnreadableStaircase(Exception):
    """`staircase.json` is missing or cannot be read; one line."""


class TrainingRecord(Record):
    """An arm with a seed."""

    seed: int
    state: State
    reason: str | None = None
    """One line for what is not trained."""
    accuracy: float | None = None
    """Share of held-out problems that are answered right."""
    nll: float | None = None
    """Of their solutions' tokens, in nats."""
    loss: list[float | None] = Field(default_factory=list)
    """As the framework logs it, step by step."""
    grad_norm: list[float | None] = Field(default_factory=list)
    """As the framework reports it, before clipping."""
    norm: float | None = None
    """The mean of that behind the warm-up, a tenth of the steps."""
    variability: float | None = None
    """How much the logged loss changes from step to step in the last half, beside its fall: the standard deviation of
    its changes over root 2."""
    causes: list[str] = Field(default_factory=list)
    """What the oracle finds wrong in its first steps, by `harness.verdicts.findings.CAUSES`."""
    said: list[str] = Field(default_factory=list)
    """The same in sentences."""
    seconds: float | None = None


class ArmRecord(Record):
    """One way to train."""

    label: str
    role: Role
    fixes: list[str] = Field(default_factory=list)
    hyper: str | None = None
    steps: int
    rows: int
    """Of a step."""
    flops: int | None = None
    """Of one training; None where nothing was trained."""
    as_labelled: bool | None = None
    """Whether its first steps are what its label says; None where nobody can tell."""
    weighed: str = ""
    """What was found of that, in a sentence."""
    trainings: list[TrainingRecord] = Field(default_factory=list)


class FixRecord(Record):
    """What a fix is worth."""

    fix: str
    mends: list[str]
    """Causes that are found without it and not with it."""
    brings: Number
    """By the mean over all orders in which fixes can be made; better is above 0."""
    share: Number | None = None
    """Of the gap; None where there is no gap."""


class AttributionRecord(Record):
    """What the gap is made of, by one metric."""

    metric: Metric
    gap: Number
    """What all fixes together bring; better is above 0."""
    fixes: list[FixRecord]
    interaction: Number
    """What they bring beyond the sum of what each brings alone."""


class DifferenceRecord(Record):
    """An effective hyperparameter in which arms differ that should not."""

    what: str
    arm: str
    has: str
    reference: str
    """The arm that it is held against."""
    wanted: str


class Staircase(Record):
    """All of it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    lockstep: str = ""
    harness: str = ""
    """`harness.history.identity` of what trained, weighed and evaluated."""
    command: str = ""
    parameters: int = 0
    """Of the model."""
    held_out: int = 0
    """Problems of the evaluation."""
    seeds: list[int] = Field(default_factory=list)
    effective: list[str] = Field(default_factory=list)
    """The hyperparameters of the arms that are to have the same, as recovered from their first steps."""
    differences: list[DifferenceRecord] = Field(default_factory=list)
    arms: list[ArmRecord] = Field(default_factory=list)
    attributions: list[AttributionRecord] = Field(default_factory=list)
    claims: list[ClaimRecord] = Field(default_factory=list)
    missing: str | None = None
    """Why there are no attributions and claims, in a line."""


def write(staircase: Staircase, folder: Path) -> Path:
    """Write `folder/staircase.json` in one atomic replacement; returns its path."""
    return documents.write(staircase, folder / FILE)


def read(path: Path) -> Staircase:
    """Raises UnreadableStaircase."""
    return documents.read(Staircase, path, MAX_BYTES, UnreadableStaircase, "run `lockstep staircase` again")
