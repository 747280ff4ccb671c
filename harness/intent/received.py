"""Windows whose rows the framework chooses, as the trace shows them: held against what must hold of any choice.

What a run makes of its rows does not follow from a scenario alone where the framework draws their order or packs them.
So it is where it puts the rows of a step together by their tokens (`Intent.micro_batch_tokens`).
Then an intent says what must hold of every choice (`Intent.drawn`), and the windows that checks ask for are the
received ones, mended: a row that comes twice in an epoch gives its second place to one that never comes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, cycle, islice
from typing import NamedTuple

from harness.intent.intent import Drawn, Intent, Window
from harness.traces import batch
from harness.traces.batch import Conversation
from harness.traces.reader import Trace
from harness.traces.text_files import MicroBatch

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
    if intent.micro_batch_tokens is not None:
        return _composed(intent, trace)
    if intent.drawn is None:
        return intent
    shapes, found = _chosen(intent, intent.drawn, trace)
    windows = tuple(_filled(w, iter(rows)) for w, rows in zip(shapes, found.steps, strict=True))
    return replace(intent, windows=windows, drawn=replace(intent.drawn, begins=tuple(found.begins)))


def _composed(intent: Intent, trace: Trace) -> Intent:
    """Micro-batches as they were received, in every step that has the rows which it should have."""
    received = _conversations(trace, intent.steps)
    found = tuple(_received(intent, step) for step in received)
    if intent.windows is None:
        return intent.composed(found)
    pairs = zip(found, intent.windows, strict=True)
    return intent.composed(tuple(own if _every(own) == _every(wanted) else wanted for own, wanted in pairs))


def _received(intent: Intent, step: Sequence[Conversation]) -> Window:
    """Rows by micro-batch and rank; -1 for tokens that are no row."""
    numbers = range(max((c.micro_batch for c in step), default=0) + 1)
    places: dict[tuple[int, int], list[int]] = {}
    for c in step:
        places.setdefault((c.micro_batch, c.rank), []).append(-1 if c.row is None else c.row)
    return tuple(tuple(tuple(places.get((n, rank), ())) for rank in range(intent.ranks)) for n in numbers)


def _every(window: Window) -> Counter[int]:
    return Counter(row for ranks in window for rows in ranks for row in rows)


def _chosen(intent: Intent, drawn: Drawn, trace: Trace) -> tuple[Sequence[Window], Mended]:
    received = _conversations(trace, intent.steps)
    ends = _last_of_rounds(received) if drawn.filled else ()
    shapes = intent.windows or _shapes(intent, trace, received)
    places = [sum(len(rows) for ranks in window for rows in ranks) for window in shapes]
    return shapes, mended(drawn, places, [[c.row for c in step] for step in received], ends)


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
    sequences: dict[tuple[int, int, int, int], list[int | None]] = {}
    first: set[tuple[int, int, int, int]] = set()
    last: set[tuple[int, int, int, int]] = set()
    every = ((step, c) for step, had in enumerate(_conversations(trace, intent.steps)) for c in had)
    for at, (step, c) in enumerate(every):
        place = (step, c.micro_batch, c.rank, c.sequence)
        sequences.setdefault(place, []).append(c.row)
        (first if at < begins[0] else last if at >= begins[-1] else set()).add(place)
    return {tuple(sequences[place]) for place in last} <= {tuple(sequences[place]) for place in first}


def _conversations(trace: Trace, steps: int) -> list[list[Conversation]]:
    """Of each step, by micro-batch, then by rank."""
    batches: list[list[MicroBatch]] = [[] for _ in range(steps)]
    for one in trace.batches:
        if one.step < steps:
            batches[one.step].append(one)
    return [batch.conversations(trace.scenario, own) for own in batches]


def _shapes(intent: Intent, trace: Trace, received: Sequence[Sequence[Conversation]]) -> tuple[Window, ...]:
    """Places for what was received in each step."""
    begun = [0] * intent.steps
    for one in trace.batches:
        if one.step < intent.steps:
            begun[one.step] = max(begun[one.step], one.micro_batch)
    return tuple(_shape(intent, last, step) for last, step in zip(begun, received, strict=True))


def _shape(intent: Intent, begun: int, received: Sequence[Conversation]) -> Window:
    """Those of micro-batches beyond the accumulation are the last one's. begun: number of the last micro-batch."""
    last, ranks = intent.accumulation - 1, range(intent.ranks)
    end = (last, ranks[-1])
    counts = Counter(min((c.micro_batch, c.rank), end) for c in received)
    return tuple(tuple(tuple(range(counts[m, r])) for r in ranks) for m in range(min(begun, last) + 1))


def _filled(window: Window, rows: Iterator[int]) -> Window:
    return tuple(tuple(tuple(islice(rows, len(places))) for places in ranks) for ranks in window)


def _last_of_rounds(received: Sequence[Sequence[Conversation]]) -> list[int]:
    """How many rows were received up to the end of each round, which is what all ranks have at once."""
    counts = [Counter(c.micro_batch for c in step) for step in received]
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
    place = bisect_left(rounds, at)  # rounds come in their order
    end = rounds[place] if place < len(rounds) else at
    filling = dealt[at:end]
    first = dealt[begin : begin + len(filling)]
    return [row for row in filling if row is not None] if filling == first and None not in filling else []


def _epoch(drawn: Drawn, received: Rows) -> list[int]:
    """Every row once, then the same again in that order for as long as there are more places."""
    kept: list[int | None] = []
    seen: set[int] = set()
    for row in received[: drawn.rows]:
        fresh = row is not None and row < drawn.rows and row not in seen
        kept.append(row if fresh else None)
        seen |= {row} if fresh and row is not None else set()
    lost = iter(sorted(set(range(drawn.rows)) - seen))
    order = [next(lost) if row is None else row for row in kept]
    return list(islice(cycle(order), len(received)))
