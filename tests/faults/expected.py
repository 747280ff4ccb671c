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


def _responses(scenario: Scenario, row: int) -> list[bool]:
    """For every token of a row, whether it is a response's."""
    marks = [False] * (
        scenario.tokenizer.bos + len(scenario.tokenizer.system.split()) + bool(scenario.tokenizer.system)
    )
    for message in scenario.data.rows[row]:
        answers = message.role == "assistant"
        marks += [False, *([answers] * (len(message.content.split()) + answers))]
    return marks[: scenario.data.max_length]


def _padded(scenario: Scenario, step: int, number: int, rank: int) -> set[int]:
    """The rows of a micro-batch that padding follows."""
    sequences = scenario.sequence_rows(step, number, rank)
    lengths = [sum(len(_responses(scenario, row)) for row in sequence) for sequence in sequences]
    longest = max(lengths) if scenario.tokenizer.padding_side == "right" else 0
    return {s[-1] for s, length in zip(sequences, lengths, strict=True) if length < longest}


def _positions(scenario: Scenario, row: int, mask: str, padded: bool) -> list[int]:
    """Positions that are trained under a mask."""
    own = _responses(scenario, row)
    answers = [i for i, answer in enumerate(own) if answer]
    ends = [i for i in answers if i + 1 == len(own) or not own[i + 1]]
    starts = [i for i in answers if not own[i - 1]]
    everything = list(range(1, len(own)))
    trained = {"responses": answers, "last-answer": [i for i in answers if i >= starts[-1]], "everything": everything}
    right = trained[scenario.data.trained]
    if mask == "into-next":
        return right
    return (
        trained.get(mask)
        or {
            "right": right,
            "no-padding-id": [i for i in right if scenario.tokenizer.pad_token == "own" or i not in ends],
            "no-eos": [i for i in answers if i not in ends],
            "no-first": [i for i in answers if i not in starts],
            "shifted": [i - 1 for i in answers],
            "late": [i + 1 for i in answers if i + 1 < len(own) + padded],
            "with-tag": sorted({*answers, *(i - 1 for i in answers)}),
        }[mask]
    )


def weights(scenario: Scenario, plan: Plan, step: int) -> dict[Token, Fraction]:
    """Weight of every trained token before scale and clipping."""
    tokens = [
        Token(rank, number, row, position)
        for rank in range(scenario.window.ranks)
        for number in range(scenario.micro_batches(step))
        for sequence in scenario.sequence_rows(step, number, rank)
        for row in sequence
        for position in (
            *([0] if plan.mask == "into-next" and row != sequence[0] else []),
            *_positions(scenario, row, plan.mask, row in _padded(scenario, step, number, rank)),
        )
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
