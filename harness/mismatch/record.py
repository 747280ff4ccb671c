"""`mismatch.json`: how likely each way holds the same tokens, against float64 and against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness import documents

FILE = "mismatch.json"
MAX_BYTES = 64 * 2**20

Nearer = Literal["trainer", "engine", "alike"]


class UnreadableMismatch(Exception):
    """`mismatch.json` is missing or cannot be read; one line."""


class _Record(BaseModel):
    model_config = ConfigDict(populate_by_name=True, ser_json_inf_nan="strings")


class TokenRecord(_Record):
    """One token that is far off."""

    row: int
    place: int
    """From 1; the token at place 0 of a row has no probability."""
    exact: float
    """Its log-probability in float64."""
    found: float


class Differences(_Record):
    """Of log-probabilities of tokens from exact ones, in nats."""

    mean_abs: float
    max_abs: float
    bias: float
    """Their mean: above 0, tokens are held likelier than they are."""
    kl: float | None = None
    """True divergence of the exact distribution from this one, the mean over places; None where there are no logits."""


class RoundingRecord(_Record):
    """What rounding the parameters does by itself, with exact arithmetic."""

    dtype: str
    from_float32: Differences


class RunRecord(_Record):
    """One way in one dtype."""

    way: str
    role: Literal["trainer", "engine"]
    told: str
    framework: str
    version: str | None = None
    dtype: str
    state: Literal["measured", "unknown"]
    reason: str | None = None
    """One line for what is not measured."""
    arithmetic: Differences | None = None
    """From the exact values at the parameters that it had: those of its dtype, or float32 under autocast."""
    whole: Differences | None = None
    """From those at the checkpoint's float32 parameters, so that the rounding of the parameters counts too."""
    growth: list[float] = Field(default_factory=list)
    """`arithmetic.mean_abs` over equal bins of places, from the first to the last."""
    worst: list[TokenRecord] = Field(default_factory=list)
    """The tokens with the largest differences of `arithmetic`."""


class PairRecord(_Record):
    """A trainer against an engine."""

    trainer: str
    trainer_dtype: str
    engine: str
    engine_dtype: str
    metrics: dict[str, float]
    """By frameworks' own names."""
    kl: float | None = None
    """True divergence of the engine's distribution from the trainer's; None where one has no logits to look at."""
    growth: list[float]
    """Mean difference of log-probabilities over bins of places."""
    nearer: Nearer
    """Which of them is nearer to float64 at the float32 parameters, by its mean difference."""


class ClaimRecord(_Record):
    """What is said of such differences."""

    claim: str
    source: str
    rule: str
    """When it counts as supported."""
    supported: bool | None = None
    """None where nobody can tell."""
    measured: str = ""


class Mismatch(_Record):
    """All of it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    lockstep: str = ""
    harness: str = ""
    command: str = ""
    machine: str = ""
    scenario: str
    seed: int
    architecture: str
    parameters: int
    vocabulary: int
    rows: int
    length: int
    entropy: float
    """Of the exact distribution, in nats, the mean over places."""
    roundings: list[RoundingRecord] = Field(default_factory=list)
    runs: list[RunRecord] = Field(default_factory=list)
    pairs: list[PairRecord] = Field(default_factory=list)
    claims: list[ClaimRecord] = Field(default_factory=list)


def write(mismatch: Mismatch, folder: Path) -> Path:
    """Write `folder/mismatch.json` in one atomic replacement; returns its path."""
    return documents.write(mismatch, folder / FILE)


def read(path: Path) -> Mismatch:
    """Raises UnreadableMismatch."""
    return documents.read(Mismatch, path, MAX_BYTES, UnreadableMismatch, "run `lockstep mismatch` again")
