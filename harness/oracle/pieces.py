"""Weights that follow from how a micro-batch lies in memory: in chunks, by all of its positions, cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.step import RightStep
from harness.oracle.weighing import Weighing
from harness.traces.batch import Conversation

CHUNKS = tuple(2**power for power in range(1, 13))
"""Sizes of chunks that are tried, in positions."""


@dataclass(frozen=True)
class Way:
    """How a loss may be put together."""

    kind: str
    """`chunks`, `positions` or `cut off`."""
    size: int = 0
    """Positions of a chunk."""
    lengths: tuple[int, ...] = ()
    """Rank by rank, the positions of a sequence that are trained at most."""


@dataclass(frozen=True)
class _Lying:
    """Where the slots of a step lie, as int64 [slots]: sequences are padded on the right, to the longest of their
    micro-batch, and their positions predict the token behind them."""

    micro_batch: Tensor
    """A number for each (rank, micro-batch)."""
    at: Tensor
    """In its sequence, from 0."""
    flat: Tensor
    """In its micro-batch, from 0."""
    positions: Tensor
    """That its micro-batch has."""


def ways(w: Weighing, recovered: Tensor) -> Iterator[Way]:
    """What may explain weights [columns], the simplest first."""
    lying = _lying(w.right)
    yield Way("positions")
    yield from (Way("chunks", size) for size in CHUNKS if size < int(lying.positions.max()))
    lengths = _lengths(w, lying, recovered)
    if lengths is not None:
        yield Way("cut off", lengths=lengths)


def weights(w: Weighing, way: Way) -> Tensor:
    """Weight of each slot before scale and clipping: float64 [slots]."""
    return _WEIGHTS[way.kind](w, _lying(w.right), way)


def width(conversations: Sequence[Conversation]) -> int:
    """Positions of each sequence of a micro-batch, of its conversations."""
    filled: dict[int, int] = {}
    for c in conversations:
        filled[c.sequence] = filled.get(c.sequence, 0) + len(c.ids)
    return max(filled.values(), default=0)


def _lying(right: RightStep) -> _Lying:
    places = sorted({c.place for c in right.conversations})
    of = {place: [c for c in right.conversations if c.place == place] for place in places}
    widths = {place: width(mine) - 1 for place, mine in of.items()}
    start: dict[int, int] = {}
    filled: dict[tuple[int, int, int], int] = {}
    for i, c in enumerate(right.conversations):
        sequence = (*c.place, c.sequence)
        start[i] = filled.get(sequence, 0)
        filled[sequence] = start[i] + len(c.ids)
    rows = []
    for slot in right.slots:
        c = right.conversations[slot.conversation]
        at, wide = start[slot.conversation] + slot.position - 1, widths[c.place]
        sequences = 1 + max(one.sequence for one in of[c.place])
        rows.append((places.index(c.place), at, c.sequence * wide + at, sequences * wide))
    return _Lying(*torch.tensor(rows).unbind(1))


def _mean(w: Weighing) -> int:
    """Micro-batches of all ranks."""
    return w.right.micro_batches * w.right.intent.ranks


def _by_positions(w: Weighing, lying: _Lying, _: Way) -> Tensor:
    return w.trained / (lying.positions.double() * _mean(w))


def _by_chunks(w: Weighing, lying: _Lying, way: Way) -> Tensor:
    """Each chunk is averaged over what it trains, then the chunks of a micro-batch, then the micro-batches."""
    most = -(-int(lying.positions.max()) // way.size)
    chunk = lying.micro_batch * most + torch.div(lying.flat, way.size, rounding_mode="floor")
    count = torch.zeros(int(chunk.max()) + 1, dtype=torch.float64).index_add(0, chunk, w.trained.double())
    chunks = torch.div(lying.positions + way.size - 1, way.size, rounding_mode="floor")
    return w.trained / (count[chunk].clamp_min(1.0) * chunks * _mean(w))


def _cut_off(w: Weighing, lying: _Lying, way: Way) -> Tensor:
    limit = torch.tensor(way.lengths)[w.rank]
    return w.right.slot_weights * (lying.at + 1 < limit)


_WEIGHTS: Mapping[str, Callable[[Weighing, _Lying, Way], Tensor]] = {
    "positions": _by_positions,
    "chunks": _by_chunks,
    "cut off": _cut_off,
}


def _lengths(w: Weighing, lying: _Lying, recovered: Tensor) -> tuple[int, ...] | None:
    """Behind which position nothing seems to be trained, rank by rank; None if everything is to its end."""
    columns = torch.tensor([slot.column for slot in w.right.slots])
    seen = (recovered * w.told / w.coarseness)[columns].abs()
    heavy = w.trained & (seen > 0.5 * float(seen.max()))
    if not all(bool((heavy & (w.rank == rank)).any()) for rank in range(w.ranks)):
        return None
    found = tuple(int(lying.at[heavy & (w.rank == rank)].max()) + 2 for rank in range(w.ranks))
    limit = torch.tensor(found)[w.rank]
    return found if bool((w.trained & (lying.at + 1 >= limit)).any()) else None
