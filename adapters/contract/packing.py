"""Which rows share a sequence, or a micro-batch, where the loop that trains is free to choose."""

from __future__ import annotations

from collections.abc import Sequence


def first_fit(lengths: Sequence[int], room: int) -> tuple[tuple[int, ...], ...]:
    """Rows of these lengths, in tokens, as sequences of at most `room` tokens, first fit in the given order: each row
    whole, in the first sequence that has room for it. A row that is longer than that is a sequence of its own."""
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


def balanced(lengths: Sequence[Sequence[int]], room: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """The rows of each rank, by their lengths in tokens, as micro-batches of at most `room` tokens: for each rank, the
    places of the rows in each of them. All ranks have as many, and as few as that allows."""
    most = max(map(len, lengths))
    ways = (tuple(_shared(rank, count) for rank in lengths) for count in range(1, most))
    alone = tuple(_shared(rank, most) for rank in lengths)
    return next((way for way in ways if _fits(way, lengths, room)), alone)


def _fits(way: Sequence[Sequence[Sequence[int]]], lengths: Sequence[Sequence[int]], room: int) -> bool:
    pairs = zip(way, lengths, strict=True)
    return all(sum(own[place] for place in rows) <= room for parts, own in pairs for rows in parts)


def _shared(lengths: Sequence[int], count: int) -> tuple[tuple[int, ...], ...]:
    """Rows in so many parts: the longest first, each in the part that has the fewest tokens."""
    parts: list[list[int]] = [[] for _ in range(count)]
    for row in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        min(parts, key=lambda part: sum(lengths[i] for i in part)).append(row)
    return tuple(tuple(sorted(part)) for part in parts)
