"""Windows whose rows the framework chooses, as the trace shows them: held against what must hold of any choice.

What a run makes of its rows does not follow from a scenario alone where the framework draws their order or packs them.
Then an intent says what must hold of every choice (`Intent.drawn`), and the windows that checks ask for are the
received ones, mended: a row that comes twice in an epoch gives its second place to one that never comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from harness.intent.intent import Drawn, Intent, Window
from harness.traces import batch
from harness.traces.reader import Trace

Rows = Sequence[int | None]
"""Of a step, in the order in which they are dealt: by micro-batch, then by rank. None for what is no row."""


def resolved(intent: Intent, trace: Trace) -> Intent:
    """The same intent, its windows the rows of every step, also where the framework chooses these.

    Windows that are given keep their shape; else a step is told as one micro-batch of rank 0 that holds all its rows.
    """
    if intent.drawn is None:
        return intent
    received = [_rows(trace, step) for step in range(intent.steps)]
    nobody = ((),) * (intent.ranks - 1)
    shapes = intent.windows or tuple(((tuple(range(len(rows))), *nobody),) for rows in received)
    places = [sum(len(rows) for ranks in window for rows in ranks) for window in shapes]
    chosen = mended(intent.drawn, places, received)
    return replace(intent, windows=tuple(_filled(w, iter(rows)) for w, rows in zip(shapes, chosen, strict=True)))


def _rows(trace: Trace, step: int) -> Rows:
    batches = [b for b in trace.batches if b.step == step]  # by micro-batch, then by rank
    return [c.row for c in batch.conversations(trace.scenario, batches)]


def _filled(window: Window, rows: Iterator[int]) -> Window:
    return tuple(tuple(tuple(islice(rows, len(places))) for places in ranks) for ranks in window)


def mended(drawn: Drawn, places: Sequence[int], received: Sequence[Rows]) -> list[list[int]]:
    """The rows that each step should have had: those received, unless they break what must hold.

    places: how many rows each step has to have.
    """
    dealt = [
        rows[i] if i < len(rows) else None for rows, count in zip(received, places, strict=True) for i in range(count)
    ]
    epochs = (dealt[at : at + drawn.epoch] for at in range(0, len(dealt), drawn.epoch))
    right = iter([row for epoch in epochs for row in _epoch(drawn, epoch)])
    return [list(islice(right, count)) for count in places]


def _epoch(drawn: Drawn, received: Rows) -> list[int]:
    """Every row once, the first ones again where there are more places than rows."""
    kept: list[int | None] = []
    for row in received[: drawn.rows]:
        kept.append(None if row is None or row >= drawn.rows or row in kept else row)
    lost = iter(sorted(set(range(drawn.rows)) - set(kept)))
    order = [next(lost) if row is None else row for row in kept]
    return order + order[: max(0, len(received) - drawn.rows)]
