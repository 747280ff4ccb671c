"""One recorded step weighed by every basis: how far apart the weights are, and what each says."""

from __future__ import annotations

from dataclasses import dataclass

from harness.intent.of_scenario import of_scenario
from harness.judging.evidence import StepEvidence, gather
from harness.judging.judge import Judgement, by_recording, check
from harness.judging.weigher import ByForward
from harness.oracle.basis_cache import Bases, BasisCache
from harness.traces.reader import Trace


@dataclass(frozen=True)
class Judgements:
    """Of one trace."""

    full: Judgement
    tail: Judgement
    recorded: Judgement


def judgements(trace: Trace, cache: BasisCache) -> Judgements:
    intent, model = of_scenario(trace.scenario), trace.scenario.model
    full, tail = (
        check(trace, intent, gather(trace, intent, ByForward(model, Bases(kind, cache)))) for kind in ("full", "tail")
    )
    return Judgements(full, tail, by_recording(trace))


def apart(one: Judgement, other: Judgement) -> float:
    """The largest distance of any token's weight by one and by another basis, over what both floors together allow."""
    return max(_apart(a, b) for a, b in zip(one.steps, other.steps, strict=True))


def _apart(one: StepEvidence, other: StepEvidence) -> float:
    mine, theirs = _by_token(one), _by_token(other)
    unit = (one.floor.token + other.floor.token) * max(map(abs, mine.values()))
    return max(abs(mine[key] - theirs[key]) for key in mine) / unit


def _by_token(evidence: StepEvidence) -> dict[tuple[int, int], float]:
    """Conversation and position to weight x N."""
    places = [(slot.conversation, slot.position) for slot in evidence.right.slots]
    return dict(zip(places, evidence.tokens.slots.tolist(), strict=True))
