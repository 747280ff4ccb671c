"""Windows whose rows the framework chooses, as the trace shows them: held against what must hold of any choice.

What a run makes of its rows does not follow from a scenario alone where the framework draws their order or packs them.
Then an intent says what must hold of every choice (`Intent.drawn`), and the windows that checks ask for are the
received ones, mended: a row that comes twice in an epoch gives its second place to one that never comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, cycle, islice
from typing import NamedTuple

from harness.intent.intent import Drawn, Intent, Window
from harness.traces import batch
from harness.traces.reader import Trace

Rows = Sequence[int | None]
"""Of a step, in the order in which they are dealt: by micro-batch, then by rank. None for what is no row."""


class Mended(NamedTuple):
    """The rows that each step should have had, and where epochs begin among all of them, from the second one on; one
    that is whole ends where another would begin."""

    steps: list[list[int]]
    begins: list[int]


def resolved(intent: Intent, trace: Trace) -> Intent:
    """The same intent, its windows the rows of every step, also where the framework chooses these.

    Windows that are given keep their shape; others have the micro-batches and ranks that were received.
    """
    if intent.drawn is None:
        return intent
    shapes, found = _chosen(intent, intent.drawn, trace)
    windows = tuple(_filled(w, iter(rows)) for w, rows in zip(shapes, found.steps, strict=True))
    return replace(intent, windows=windows, drawn=replace(intent.drawn, begins=tuple(found.begins)))


def _chosen(intent: Intent, drawn: Drawn, trace: Trace) -> tuple[Sequence[Window], Mended]:
    received = [_rows(trace, step) for step in range(intent.steps)]
    ends = _last_of_rounds(trace, intent.steps) if drawn.filled else ()
    shapes = intent.windows or tuple(_shape(intent, trace, step) for step in range(intent.steps))
    places = [sum(len(rows) for ranks in window for rows in ranks) for window in shapes]
    return shapes, mended(drawn, places, received, ends)


def unfinished(intent: Intent, trace: Trace) -> str | None:
    """Why rows may be lost of which nothing tells, if they may: without windows, a last epoch that is not whole is one
    that the run ends before, or one that lacks some."""
    if intent.drawn is None or intent.windows is not None:
        return None
    shapes, found = _chosen(intent, intent.drawn, trace)
    had = sum(len(rows) for window in shapes for ranks in window for rows in ranks)
    begun = had - (found.begins[-1] if found.begins else 0)
    if not begun or (intent.drawn.filled and found.begins and _as_packed(intent, trace, found.begins)):
        return None
    return (
        f"the run ends with {begun} of the {intent.drawn.epoch} rows of an epoch: whether others are lost cannot be"
        " told without windows"
    )


def _as_packed(intent: Intent, trace: Trace, begins: Sequence[int]) -> bool:
    """Whether the last epoch has sequences of the first one alone: what is packed is packed once, so that the first
    epoch tells what each of them holds."""
    sequences: dict[tuple[int, int, int, int], tuple[int | None, ...]] = {}
    first: set[tuple[int, int, int, int]] = set()
    last: set[tuple[int, int, int, int]] = set()
    every = ((step, c) for step in range(intent.steps) for c in _conversations(trace, step))
    for at, (step, c) in enumerate(every):
        place = (step, c.micro_batch, c.rank, c.sequence)
        sequences[place] = (*sequences.get(place, ()), c.row)
        (first if at < begins[0] else last if at >= begins[-1] else set()).add(place)
    return {sequences[place] for place in last} <= {sequences[place] for place in first}


def _rows(trace: Trace, step: int) -> Rows:
    return [c.row for c in _conversations(trace, step)]


def _conversations(trace: Trace, step: int) -> list[batch.Conversation]:
    """By micro-batch, then by rank."""
    return batch.conversations(trace.scenario, [b for b in trace.batches if b.step == step])


def _shape(intent: Intent, trace: Trace, step: int) -> Window:
    """Places for what was received; those of micro-batches beyond the accumulation are the last one's."""
    last, ranks = intent.accumulation - 1, range(intent.ranks)
    end = (last, ranks[-1])
    counts = Counter(min((c.micro_batch, c.rank), end) for c in _conversations(trace, step))
    begun = max((b.micro_batch for b in trace.batches if b.step == step), default=0)
    return tuple(tuple(tuple(range(counts[m, r])) for r in ranks) for m in range(min(begun, last) + 1))


def _filled(window: Window, rows: Iterator[int]) -> Window:
    return tuple(tuple(tuple(islice(rows, len(places))) for places in ranks) for ranks in window)


def _last_of_rounds(trace: Trace, steps: int) -> list[int]:
    """How many rows were received up to the end of each round, which is what all ranks have at once."""
    counts = [Counter(c.micro_batch for c in _conversations(trace, step)) for step in range(steps)]
    return list(accumulate(count for step in counts for count in step.values()))


def mended(drawn: Drawn, places: Sequence[int], received: Sequence[Rows], rounds: Sequence[int] = ()) -> Mended:
    """The rows that each step should have had: those received, unless they break what must hold.

    places: how many rows each step has to have. rounds: where rounds end, in rows from the first one on, if epochs may
    end with what they had first.
    """
    dealt = [
        rows[i] if i < len(rows) else None for rows, count in zip(received, places, strict=True) for i in range(count)
    ]
    right: list[int] = []
    begins: list[int] = []
    while len(right) < len(dealt):
        begin = len(right)
        epoch = dealt[begin : begin + drawn.epoch]
        right += _epoch(drawn, epoch)
        right += _again(dealt, begin, len(right), rounds)
        begins += [len(right)] if len(epoch) == drawn.epoch else []
    whole = iter(right)
    return Mended([list(islice(whole, count)) for count in places], begins)


def _again(dealt: Rows, begin: int, at: int, rounds: Sequence[int]) -> list[int]:
    """What fills the round in which an epoch ends, if that is what the epoch had first."""
    end = next((end for end in rounds if end >= at), at)
    filling = dealt[at:end]
    first = dealt[begin : begin + len(filling)]
    return [row for row in filling if row is not None] if filling == first and None not in filling else []


def _epoch(drawn: Drawn, received: Rows) -> list[int]:
    """Every row once, then the same again in that order for as long as there are more places."""
    kept: list[int | None] = []
    for row in received[: drawn.rows]:
        kept.append(None if row is None or row >= drawn.rows or row in kept else row)
    lost = iter(sorted(set(range(drawn.rows)) - set(kept)))
    order = [next(lost) if row is None else row for row in kept]
    return list(islice(cycle(order), len(received)))
