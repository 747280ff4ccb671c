"""`mismatch-training.json`: how every training ended, what its mismatch was, and which claims that supports."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from harness import documents
from harness.seeds import ClaimRecord, Number, Record

FILE = "mismatch-training.json"
MAX_BYTES = 64 * 2**20


class UnreadableExperiment(Exception):
    """The document is missing or cannot be read; one line."""


class RunRecord(Record):
    """A training."""

    kind: str
    size: str
    """Of the mismatch, as `harness.policy.mismatches` names both."""
    correction: str
    seed: int
    begun_with: float
    """Mean reward of the policy behind its warm start."""
    final: float
    """Mean reward of the trained policy, sampled exactly."""
    rewards: list[float]
    """Mean reward of what the sampler drew, step by step."""
    measures: dict[str, list[float]]
    """`kl`, `k3_kl`, `chi2_token` and `chi2_seq`, step by step."""
    seconds: float


class ArmRecord(Record):
    """A mismatch with a correction, over seeds."""

    kind: str
    size: str
    correction: str
    finals: list[float] = Field(default_factory=list)
    """Final reward of each seed, in the order of `Experiment.seeds`."""
    final: Number
    less: Number
    """Final reward less that of exact rollouts with the same seed."""
    sampled: Number
    """Mean reward of what the sampler drew in the last tenth of the steps."""
    measures: dict[str, Number]
    """Means over all steps."""
    rewards: list[Number]
    """Of what the sampler drew, in the mean over each `harness.policy.results.CURVE` steps."""


class Experiment(Record):
    """All of it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    lockstep: str = ""
    command: str = ""
    parameters: int = 0
    """Of the policy."""
    steps: int = 0
    rows: int = 0
    """Responses of a step."""
    judged: int = 0
    """Prompts that a trained policy answers in the end."""
    seeds: list[int] = Field(default_factory=list)
    kinds: dict[str, str] = Field(default_factory=dict)
    """What each kind of mismatch is."""
    corrections: dict[str, str] = Field(default_factory=dict)
    """What each correction weighs a token with."""
    begun_with: Number | None = None
    """Reward before the first step."""
    arms: list[ArmRecord] = Field(default_factory=list)
    claims: list[ClaimRecord] = Field(default_factory=list)
    missing: list[str] = Field(default_factory=list)
    """Trainings that did not come to an end."""
    broken: list[str] = Field(default_factory=list)
    """Why, in one line for each process that broke."""


def write(experiment: Experiment, folder: Path) -> Path:
    """Write `folder/mismatch-training.json` in one atomic replacement; returns its path."""
    return documents.write(experiment, folder / FILE)


def read(path: Path) -> Experiment:
    """Raises UnreadableExperiment."""
    return documents.read(Experiment, path, MAX_BYTES, UnreadableExperiment, "run `lockstep mismatch-training` again")
