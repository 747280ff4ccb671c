"""Made-up conversations for small runs: ragged, from a seed, in words that are short in any tokenizer."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from harness.validation.known.ledger import LENGTH

WORDS = (
    "a", "an", "at", "by", "do", "go", "he", "if", "in", "is", "it", "me", "my", "no", "of", "on", "or", "so", "to",
    "up", "we", "add", "and", "box", "cat", "day", "dog", "eat", "far", "for", "has", "hot", "how", "ice", "key", "map",
    "new", "not", "old", "one", "out", "pen", "red", "run", "sea", "sum", "sun", "ten", "the", "two", "was", "why",
)  # fmt: skip
LONGEST, SHORTEST = 18, 4
"""Words of an answer."""
QUESTION = 6
FEW = 16
"""Conversations of a step that may have several turns."""
ENOUGH = 640
"""Words of answers in an optimizer step at most: of many rows each is short, so that its tokens can be told apart."""

MANY = 160
"""Words of an answer that is longer than a small run takes."""

Turns = Sequence[tuple[str, str]]
"""A conversation: questions with their answers."""


def beyond(count: int) -> tuple[int, ...]:
    """Which of so many rows are longer than a small run takes: one in each half."""
    return (count // 4, count * 3 // 4)


def most(longest: int, of_a_step: int) -> int:
    """Of an answer, where a step has so many and one of them may be longer than a small run takes."""
    return max(SHORTEST + 3, min(longest, (ENOUGH - LENGTH) // of_a_step))


def conversations(count: int, of_a_step: int, turns: int = 1, long: Sequence[int] = ()) -> list[Turns]:
    """So many, ragged, each of 1 to `turns` turns. of_a_step: how many an optimizer step has; of many, each has one.

    long: those whose last answer has more than a small run takes.
    """
    draw = random.Random(0)
    turns = turns if of_a_step <= FEW else 1
    longest = most(LONGEST, of_a_step)
    made = [[_turn(draw, longest) for _ in range(1 + index % turns)] for index in range(count)]
    for index in long:
        made[index][-1] = (made[index][-1][0], _said(draw, MANY))
    return list(made)


def _turn(draw: random.Random, longest: int) -> tuple[str, str]:
    return _said(draw, draw.randint(1, QUESTION)), _said(draw, draw.randint(SHORTEST, longest))


def _said(draw: random.Random, words: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(words))


def messages(turns: Turns) -> list[dict[str, str]]:
    """As chats are written everywhere."""
    return [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]


def lines(made: Sequence[dict[str, Any]]) -> str:
    """As JSON, a line each."""
    return "".join(json.dumps(one) + "\n" for one in made)
