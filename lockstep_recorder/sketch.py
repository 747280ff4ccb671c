"""A gradient of any size as a small matrix, by a linear map that is the same on every rank.

Every vocabulary row gets one of R places and a sign, every column of the head one of C places and a sign; a matrix
[V, d] becomes [R, C] by adding up what falls into one place (a count sketch; Charikar, Chen & Farach-Colton 2002). As
the map is linear, what holds for gradients holds for their sketches, exactly: the sketch of a weighted sum of token
gradients is the same weighted sum of their sketches, and the sketches of shards add up to that of the whole. So ranks
need not talk to each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ROWS = 512
COLUMNS = 512
SEED = 20260501


@dataclass(frozen=True)
class Axis:
    """The map of one axis."""

    place: Tensor
    """int64 [size]."""
    sign: Tensor
    """float32 [size], 1 or -1; 0 where an index is left out."""
    places: int

    def apply(self, matrix: Tensor, dim: int) -> Tensor:
        """A matrix whose axis `dim` has `size` entries, with `places` in their stead; float32."""
        shape = list(matrix.shape)
        shape[dim] = self.places
        place, sign = self.place.to(matrix.device), self.sign.to(matrix.device)  # engines keep states elsewhere
        sign = sign if dim == matrix.dim() - 1 else sign[:, None]
        result = torch.zeros(shape, dtype=torch.float32, device=matrix.device)
        return result.index_add_(dim, place, matrix.float() * sign)

    def without(self, indices: Tensor) -> Axis:
        """The map that leaves out these indices, int64 [n]."""
        return Axis(self.place, self.sign.index_fill(0, indices, 0.0), self.places)

    def part(self, start: int, stop: int) -> Axis:
        """The map of a range of the axis."""
        return Axis(self.place[start:stop], self.sign[start:stop], self.places)


def axis(size: int, places: int, seed: int, device: torch.device) -> Axis:
    """The map of an axis; an axis that is no longer than `places` is taken as it is."""
    if size <= places:
        return Axis(torch.arange(size, device=device), torch.ones(size, device=device), size)
    draw = torch.Generator().manual_seed(seed)  # one of its own: those of the training are not touched
    place = torch.randint(places, (size,), generator=draw)
    sign = torch.randint(2, (size,), generator=draw).float() * 2 - 1
    return Axis(place.to(device), sign.to(device), places)


@dataclass(frozen=True)
class Sketch:
    """The map of a matrix [V, d]."""

    rows: Axis
    columns: Axis

    def of_flat(self, piece: Tensor, start: int, width: int) -> Tensor:
        """Sketch [R, C] of a piece of the flattened matrix: entries `start`.. of [V, width]; float32."""
        result = torch.zeros(self.rows.places, self.columns.places, dtype=torch.float32, device=piece.device)
        flat, at = piece.reshape(-1), 0
        while at < len(flat):
            row, column = divmod(start + at, width)
            # A whole block of rows where one begins here, or the rest of a row.
            if column == 0 and len(flat) - at >= width:
                count = (len(flat) - at) // width
                block = flat[at : at + count * width].view(count, width)
                narrow = self.columns.apply(block, 1)
                result += self.rows.part(row, row + count).apply(narrow, 0)
                at += count * width
            else:
                count = min(width - column, len(flat) - at)
                narrow = self.columns.part(column, column + count).apply(flat[None, at : at + count], 1)
                result += self.rows.part(row, row + 1).apply(narrow, 0)
                at += count
        return result


def of_matrix(rows: int, columns: int, device: torch.device) -> Sketch:
    """The map of a matrix [rows, columns]."""
    return Sketch(axis(rows, ROWS, SEED, device), axis(columns, COLUMNS, SEED + 1, device))
