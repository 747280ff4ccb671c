"""What a plan makes of a step by counting alone, in exact fractions: it shares no code with the diagnosis it judges."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import NamedTuple

from adapters.contract import Scenario
from adapters.faults import Plan


class Token(NamedTuple):
    """One predicted token of a step, by its place."""

    rank: int
    micro_batch: int
    row: int
    position: int


def _spans(scenario: Scenario, row: int) -> tuple[int, int]:
    """Where a conversation's response starts, and where the conversation ends."""
    question, answer = scenario.data.rows[row]
    start = len(question.content.split()) + 2
    return start, start + len(answer.content.split()) + 1


def _padded(scenario: Scenario, step: int, number: int, rank: int) -> set[int]:
    """The rows of a micro-batch that padding follows."""
    sequences = scenario.sequence_rows(step, number, rank)
    lengths = [sum(_spans(scenario, row)[1] for row in sequence) for sequence in sequences]
    return {s[-1] for s, length in zip(sequences, lengths, strict=True) if length < max(lengths)}


def _positions(scenario: Scenario, row: int, mask: str, padded: bool) -> range:
    """Positions that are trained under a mask."""
    start, end = _spans(scenario, row)
    return {
        "responses": range(start, end),
        "everything": range(1, end),
        "no-eos": range(start, end - 1),
        "no-first": range(start + 1, end),
        "shifted": range(start - 1, end - 1),
        "late": range(start + 1, end + padded),
        "with-tag": range(start - 1, end),
    }[mask]


def weights(scenario: Scenario, plan: Plan, step: int) -> dict[Token, Fraction]:
    """Weight of every trained token before scale and clipping."""
    tokens = [
        Token(rank, number, row, position)
        for rank in range(scenario.window.ranks)
        for number in range(scenario.micro_batches(step))
        for sequence in scenario.sequence_rows(step, number, rank)
        for row in sequence
        for position in _positions(scenario, row, plan.mask, row in _padded(scenario, step, number, rank))
    ]
    group = {
        "token": lambda t: None,
        "micro-batch": lambda t: (t.rank, t.micro_batch),
        "rank": lambda t: t.rank,
        "micro-step": lambda t: t.micro_batch,
        "row": lambda t: t.row,
    }[plan.level]
    counts = Counter(map(group, tokens))
    last = scenario.micro_batches(step) - 1
    kept = {"all": range(last + 1), "first-and-last": (0, last), "first": (0,), "last": (last,)}[plan.keep]
    return {t: Fraction(1, counts[group(t)] * len(counts)) for t in tokens if t.micro_batch in kept}


def same_weights(scenario: Scenario, one: Plan, other: Plan) -> bool:
    """Whether two plans weigh every token of every step alike."""
    return all(weights(scenario, one, step) == weights(scenario, other, step) for step in range(scenario.window.steps))
