"""`weights.json`: the recovered weight of every token of a run, written beside its trace for views and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness import files
from harness.evidence import StepEvidence

FILE = "weights.json"
MAX_BYTES = 64 * 2**20
DIGITS = 9
"""Significant decimal digits that are kept; float32 has eight at most."""


class ConversationWeights(BaseModel):
    """One conversation as it was trained on."""

    model_config = ConfigDict(frozen=True)

    rank: int
    micro_batch: int
    row: int | None
    """Of the scenario; None for tokens that are no row of it."""
    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    """Whether each token is one of the response's."""
    weights: tuple[float, ...]
    """x N, one for each token but the first, which nothing predicts."""


class StepWeights(BaseModel):
    """One optimizer step."""

    model_config = ConfigDict(frozen=True)

    step: int
    targets: int
    """N: tokens to be trained in the global batch."""
    right: float
    """What each trained token should weigh, x N: the clip coefficient."""
    tolerance: float
    """How far from it a token may be."""
    conversations: tuple[ConversationWeights, ...]


_STEPS = TypeAdapter(tuple[StepWeights, ...])


def of(evidence: StepEvidence) -> StepWeights:
    """What was recovered from one step."""
    right = evidence.right
    found: list[list[float]] = [[] for _ in right.conversations]
    for slot, weight in zip(right.slots, evidence.slot_weights.tolist(), strict=True):
        found[slot.conversation].append(float(f"{weight:.{DIGITS}g}"))
    return StepWeights(
        step=evidence.step,
        targets=right.targets,
        right=evidence.clip_expected,
        tolerance=evidence.floor.tolerance("token") * evidence.clip_expected,
        conversations=tuple(
            ConversationWeights(
                rank=c.rank, micro_batch=c.micro_batch, row=c.row, ids=c.ids, trained=c.trained, weights=tuple(weights)
            )
            for c, weights in zip(right.conversations, found, strict=True)
        ),
    )


def write(steps: Sequence[StepEvidence], trace: Path) -> None:
    """Write the file into a trace's folder, whole or not at all; nothing if there is no step."""
    if steps:
        files.replace(trace / FILE, _STEPS.dump_json(tuple(map(of, steps))).decode())


def read(trace: Path) -> tuple[StepWeights, ...]:
    """The steps of a trace; none if the file is missing, a link, too large, or not what `write` leaves."""
    path = trace / FILE
    try:
        return () if path.is_symlink() or path.stat().st_size > MAX_BYTES else _STEPS.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return ()
