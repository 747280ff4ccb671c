"""The words that every report says a relation in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.relations.record import PairRecord, Relations, SideRecord, State, StepRecord

STATES: tuple[State, ...] = ("broken", "unknown", "holds", "unsupported")
"""Worst first."""
WORDS: Mapping[State, str] = {"broken": "BROKEN", "unknown": "unknown", "holds": "holds", "unsupported": "unsupported"}


def release(pair: PairRecord) -> str:
    return f"{pair.framework}=={pair.version}" if pair.version else pair.framework


def releases(relations: Relations) -> list[str]:
    return list(dict.fromkeys(map(release, relations.pairs)))


def of(relations: Relations, state: State) -> list[PairRecord]:
    return [pair for pair in relations.pairs if pair.state == state]


def settings(side: SideRecord) -> str:
    """What a side has where the other one has something else."""
    return ", ".join(f"{path} = {_value(value)}" for path, value in side.settings.items())


def _value(value: object) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def oracle(side: SideRecord) -> str:
    """What the oracle says of a side by itself, with its first cause."""
    causes = f": {side.causes[0]}" if side.causes else ""
    return f"{side.verdict or 'not run'}{causes}"


def distance(pair: PairRecord) -> str:
    """The largest of all steps, where it can be told."""
    gradients = [step.gradient for step in pair.steps if step.gradient is not None]
    told = [f"gradient {max(gradients):.1e}"] if gradients else []
    return ", ".join([*told, f"way {max(step.drift for step in pair.steps):.1e}"]) if pair.steps else ""


def parted(pair: PairRecord) -> str:
    """Where the two runs part."""
    if pair.parted is None:
        return ""
    return "they do not hold the same tensors" if pair.parted < 0 else f"they part at step {pair.parted}"


def rows(pair: PairRecord) -> list[tuple[str, str, str, str]]:
    """The two runs side by side, number by number: what, one side, the other, how far apart."""
    return [row for step in pair.steps for row in _rows(step)]


def _rows(step: StepRecord) -> list[tuple[str, str, str, str]]:
    told = [(f"step {step.step}: way moved", *_both(step.ways), f"{step.drift:.2e}")]
    if step.gradients is not None and step.gradient is not None:
        told.insert(0, (f"step {step.step}: gradient", *_both(step.gradients), f"{step.gradient:.2e}"))
    return told


def _both(values: tuple[float, float]) -> tuple[str, str]:
    return f"{values[0]:.7g}", f"{values[1]:.7g}"


def square(pairs: Sequence[PairRecord]) -> str:
    """One relation of one release, in some words: the worst, and how many pairs of those that ran."""
    counts = Counter(pair.state for pair in pairs)
    ran = sum(count for state, count in counts.items() if state != "unsupported")
    if not pairs:
        return ""
    worst = next(state for state in STATES if counts[state])
    if worst == "unsupported":
        return "unsupported"
    return f"holds ({ran})" if worst == "holds" else f"{WORDS[worst]} ({counts[worst]} of {ran})"


def summary(relations: Relations) -> str:
    counts = Counter(pair.state for pair in relations.pairs)
    told = ", ".join(f"{counts[state]} {WORDS[state]}" for state in STATES if counts[state])
    return f"{len(relations.pairs)} pairs of runs" + (f": {told}" if told else "")


def refusals(relations: Relations) -> list[str]:
    """What releases cannot express, reason by reason."""
    found: dict[tuple[str, str, str], None] = {}
    for pair in of(relations, "unsupported"):
        found.setdefault((release(pair), pair.relation, pair.reason or "no reason is given"), None)
    return [f"{who}, {relation}: {why}" for who, relation, why in found]


def silent(relations: Relations) -> list[str]:
    return [f"{one.relation} says nothing of {one.base}: {one.reason}" for one in relations.silent]
