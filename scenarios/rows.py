"""Rows and vocabulary that fit a scenario's window and model, of any size."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.contract import Row, Scenario, vary
from scenarios import pieces, text
from scenarios.architectures import FAMILIES

# Eight rows of one step, micro-batch by micro-batch and rank by rank; 140 trained tokens. Lengths differ within and
# between micro-batches and ranks, so that every level of averaging gives weights of its own.
RAGGED = (9, 4, 14, 41, 38, 6, 2, 26)
PROMPTS = (5, 3, 7, 4, 6, 8, 3, 5)
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


def needed(scenario: Scenario) -> int:
    """Rows of whole steps that fill the scenario's epochs."""
    return scenario.rows_per_step * -(-scenario.window.steps // scenario.data.epochs)


def fit(scenario: Scenario, responses: Sequence[int] = RAGGED) -> Scenario:
    """The scenario with a vocabulary as its model needs it, and rows as its window needs them.

    responses: tokens of each response, `<eos>` counted; at least 1 each.
    """
    words = text.vocabulary(scenario.model.vocab_size)
    if scenario.tokenizer.bos:
        words = text.with_bos(words)
    count = -(-scenario.window.steps // scenario.data.epochs)
    rows = conversations(words, responses, scenario.rows_per_step, count, scenario.seed)
    if FAMILIES[scenario.model.architecture].tokenizer == "pieces":
        words = pieces.vocabulary(words)
    return vary(scenario, rows=rows, vocabulary=words, vocab_size=len(words))
