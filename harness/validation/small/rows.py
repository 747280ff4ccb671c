"""Made-up conversations for small runs: ragged, from a seed, in words that are short in any tokenizer."""

from __future__ import annotations

import random
from collections.abc import Sequence

WORDS = (
    "a", "an", "at", "by", "do", "go", "he", "if", "in", "is", "it", "me", "my", "no", "of", "on", "or", "so", "to",
    "up", "we", "add", "and", "box", "cat", "day", "dog", "eat", "far", "for", "has", "hot", "how", "ice", "key", "map",
    "new", "not", "old", "one", "out", "pen", "red", "run", "sea", "sum", "sun", "ten", "the", "two", "was", "why",
)  # fmt: skip
LONGEST, SHORTEST = 24, 1
"""Words of an answer."""
QUESTION = 6

Turns = Sequence[tuple[str, str]]
"""A conversation: questions with their answers."""


def conversations(count: int, turns: int = 1, seed: int = 0) -> list[Turns]:
    """So many, no two alike in length where that can be, each of 1 to `turns` turns."""
    draw = random.Random(seed)
    return [[_turn(draw) for _ in range(1 + index % turns)] for index in range(count)]


def _turn(draw: random.Random) -> tuple[str, str]:
    def said(words: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(words))

    return said(draw.randint(1, QUESTION)), said(draw.randint(SHORTEST, LONGEST))


def messages(turns: Turns) -> list[dict[str, str]]:
    """As chats are written everywhere."""
    return [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
