"""Which tokens of a step share an unknown: each has its own as long as there are not too many of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.oracle import local_basis
from harness.oracle.local_basis import Layer
from harness.recordings.head_basis import ALIKE

MOST = 1536
"""Unknowns of a step: their Gram matrix, its vectors and its inverse take 20 MB each, and time grows with their cube.
Beyond, 60,000 tokens of 119 texts with 595 unknowns took 62 s and 1.5 GB; 120,000 tokens 75 s and 2.7 GB."""
SHARE = 0.5
"""Of the equations, as many unknowns at most: with more, noise is taken for weights. A small matrix has few, such as an
adapter of few ranks."""
TOKENS = 2**17
"""Of a step on all ranks: their factors take 1 GB as float64."""
ROUNDS = 3
"""Times that sequences are opened: what is left after one may show the next."""
SEEN = 6.0
"""By how much a token of a sequence must stand out of what is left, in its standard deviations, for the sequence to be
opened. Of a hundred thousand tokens noise makes one of 4.4."""


class TooMany(Exception):
    """A step with more tokens than can be weighed."""


def shared(layer: Layer, gradient: Tensor, groupings: Sequence[Tensor]) -> Tensor:
    """The unknown of each token: int64 [T], from 0 without a gap.

    gradient: float64 [R, C], the one that is to be explained. groupings: int64 [T] each, finest first; where there are
    too many tokens, those that the first of them which is coarse enough puts together share one. Raises TooMany.
    """
    tokens, most = len(layer.deltas), limit(layer)
    if tokens <= most:
        return _alike(layer)
    if tokens > TOKENS:
        raise TooMany(f"the step has {tokens} tokens, and {TOKENS} are weighed at most")
    for grouping in groupings:
        column = _numbered(grouping)
        if int(column.max()) < most:
            return _opened(layer, gradient, column, most)
    raise TooMany(f"the step has more than the {most} texts that are weighed at most")


def limit(layer: Layer) -> int:
    """Unknowns that a step may have."""
    return min(MOST, int(SHARE * layer.equations))


def _numbered(values: Tensor) -> Tensor:
    column: Tensor = torch.unique(values, return_inverse=True)[1]
    return column


def _alike(layer: Layer) -> Tensor:
    """Tokens whose gradients are alike share one, in the order of their first."""
    scaled = [x / x.norm(dim=1, keepdim=True).clamp_min(1e-300) for x in (layer.deltas, layer.inputs)]
    found = torch.arange(len(layer.deltas))
    for start in range(0, len(found), local_basis.TOKENS_AT_ONCE):
        here = slice(start, start + local_basis.TOKENS_AT_ONCE)
        alike = (scaled[0][here] @ scaled[0].T) * (scaled[1][here] @ scaled[1].T) > ALIKE
        found[here] = torch.where(alike.any(1), alike.int().argmax(1), found[here])
    return _numbered(found)


def _opened(layer: Layer, gradient: Tensor, column: Tensor, most: int) -> Tensor:
    """With every token apart in those groups that have a token which what is left of the gradient asks for."""
    lengths = (layer.deltas.norm(dim=1) * layer.inputs.norm(dim=1)).clamp_min(1e-300)
    for _ in range(ROUNDS):
        weights = local_basis.build([layer], column).solve([gradient]).weights
        rest = gradient - layer.explained(weights[column])
        noise = float(rest.square().mean().sqrt())
        asked = layer.right_side(rest).abs() / lengths / (noise or 1.0)
        sizes = torch.bincount(column)
        worst = torch.zeros(len(sizes), dtype=torch.float64).scatter_reduce(0, column, asked, "amax")
        chosen = _chosen(worst, sizes, most)
        if not bool(chosen.any()):
            break
        apart = chosen[column]
        own = len(sizes) + torch.arange(len(column))
        column = _numbered(torch.where(apart, own, column))
    return column


def _chosen(worst: Tensor, sizes: Tensor, most: int) -> Tensor:
    """Groups that are opened, those that ask most first, as many as there is place for: bool [groups]."""
    order = worst.argsort(descending=True)
    asks = (worst > SEEN)[order] & (sizes > 1)[order]
    fits = ((sizes[order] - 1) * asks).cumsum(0) <= most - len(sizes)
    chosen = torch.zeros(len(sizes), dtype=torch.bool)
    chosen[order[asks & fits]] = True
    return chosen
