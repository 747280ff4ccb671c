"""Which rows share a sequence where the loop that trains is free to choose: first fit, in the given order."""

from __future__ import annotations

from collections.abc import Sequence


def first_fit(lengths: Sequence[int], room: int) -> tuple[tuple[int, ...], ...]:
    """Rows of these lengths, in tokens, as sequences of at most `room` tokens: each row whole, in the first sequence
    that has room for it. A row that is longer than that is a sequence of its own."""
    sequences: list[list[int]] = []
    left: list[int] = []
    tried: dict[int, int] = {}  # by length: sequences before this one have no room for it, and never will
    for row, length in enumerate(lengths):
        at = next((i for i in range(tried.get(length, 0), len(left)) if left[i] >= length), len(left))
        tried[length] = at
        if at == len(left):
            sequences.append([])
            left.append(room)
        sequences[at].append(row)
        left[at] -= length
    return tuple(map(tuple, sequences))
