"""Rows and vocabulary that fit a scenario's window and model, of any size."""

from __future__ import annotations

import bisect
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from adapters.contract import Row, Scenario, vary
from scenarios import pieces, text
from scenarios.architectures import FAMILIES

# Eight rows of one step, micro-batch by micro-batch and rank by rank; 140 trained tokens. Lengths differ within and
# between micro-batches and ranks, so that every level of averaging gives weights of its own.
RAGGED = (9, 4, 14, 41, 38, 6, 2, 26)
PROMPTS = (5, 3, 7, 4, 6, 8, 3, 5)
MOST_ROWS = 4096
FEWEST_WORDS = len(text.SPECIAL) + 2
"""Of a vocabulary that is made: one to say, and another one whose place a BOS may take."""
MOST_WORDS = 4096
"""Of a vocabulary that is made, fewer than there are words of two syllables."""


def conversations(
    words: tuple[str, ...], responses: Sequence[int], count: int, steps: int, seed: int
) -> tuple[Row, ...]:
    """`count` rows a step. Lengths of responses are taken again and again; later steps rotate them."""
    once = [responses[i % len(responses)] for i in range(count)]
    turns = [(3 * step) % count for step in range(steps)]
    lengths = [n for t in turns for n in (*once[t:], *once[:t])]
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(len(lengths))]
    return text.conversations(words, prompts, lengths, seed)


def of_one_question(rows: Sequence[Row], size: int) -> tuple[Row, ...]:
    """The answers of so many rows that follow each other, to the question of the first of them."""
    return tuple((rows[i - i % size][0], *row[1:]) for i, row in enumerate(rows))


def needed(scenario: Scenario) -> int:
    """Rows of whole steps that fill the scenario's epochs."""
    return scenario.rows_per_step * -(-scenario.window.steps // scenario.data.epochs)


def fit(scenario: Scenario, responses: Sequence[int] = RAGGED) -> Scenario:
    """The scenario with a vocabulary as its model needs it, and rows as its window needs them.

    responses: tokens of each response, `<eos>` counted; at least 1 each.
    """
    extra = scenario.model.extra_rows
    words = text.vocabulary(scenario.model.vocab_size - extra)
    if scenario.tokenizer.bos:
        words = text.with_bos(words)
    spoken, steps = words, -(-scenario.window.steps // scenario.data.epochs)
    if FAMILIES[scenario.model.architecture].tokenizer == "pieces":
        words = pieces.vocabulary(words)

    def made(steps: int) -> Scenario:
        every = conversations(spoken, responses, scenario.rows_per_step, steps, scenario.seed)
        rows = of_one_question(every, scenario.objective.rows_together)
        told = scenario.objective.rewards  # again and again, as lengths are
        rewards = tuple(told[i % len(told)] for i in range(len(rows))) if told else ()
        return vary(scenario, rows=rows, rewards=rewards, vocabulary=words, vocab_size=len(words) + extra)

    if scenario.data.packed_length is None:
        return made(steps)
    # How many rows fill its sequences is known when they are packed.
    most = max(steps, MOST_ROWS // scenario.rows_per_step)
    counts = range(steps, most + 1)
    whole = made(most)

    def enough(count: int) -> bool:
        return _dealt(vary(whole, rows=whole.data.rows[: count * scenario.rows_per_step])) >= scenario.window.steps

    found = bisect.bisect_left(counts, True, key=enough)
    return made(counts[found] if found < len(counts) else steps)


def _dealt(scenario: Scenario) -> int:
    """Optimizer steps that its rows are enough for."""
    return scenario.dealing.steps(scenario.data.epochs)


def for_ranks(scenario: Scenario, ranks: int) -> Scenario:
    """The scenario on so many ranks. More of them have rows as long as its own, step by step, in other words: its own
    words in another order for each."""
    here = scenario.window.ranks
    if ranks <= here:
        return vary(scenario, ranks=ranks)
    each, times = scenario.rows_per_step, -(-ranks // here)
    steps = [scenario.data.rows[at : at + each] for at in range(0, len(scenario.data.rows), each)]
    told = sorted({word for row in scenario.data.rows for message in row for word in message.content.split()})
    renamed = [dict(zip(told, _shuffled(told, number), strict=True)) for number in range(1, times)]
    every = ((*step, *(_renamed(r, names) for names in renamed for r in step)) for step in steps)
    cut = (more[: len(step) * ranks // here] for step, more in zip(steps, every, strict=True))
    found = tuple(row for more in cut for row in more)
    own = scenario.objective.rewards
    blocks = [own[at : at + each] * times for at in range(0, len(own), each)]
    rewards = tuple(reward for block in blocks for reward in block[: each * ranks // here])
    ends = [end * len(found) // len(scenario.data.rows) for end in accumulate(scenario.data.parts)]
    parts = tuple(end - begin for begin, end in zip([0, *ends], ends, strict=False))
    return vary(scenario, ranks=ranks, rows=found, parts=parts, rewards=rewards)


def _shuffled(words: Sequence[str], seed: int) -> list[str]:
    return random.Random(seed).sample(words, len(words))


def _renamed(row: Row, names: Mapping[str, str]) -> Row:
    return tuple(replace(m, content=" ".join(names[word] for word in m.content.split())) for m in row)
