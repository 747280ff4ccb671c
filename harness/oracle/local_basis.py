"""The position-local basis: every token's weight from one linear layer behind the last attention, at any size.

Behind the last attention nothing mixes positions, so token t's gradient of such a layer's matrix is one outer product,

    g_t = delta_t x_t^T ,

x_t the layer's input at t and delta_t the gradient of the token's loss at the layer's output. Products of two such
gradients are products of two numbers, so nothing of the size parameters x tokens is ever made. Every choice of rows of
the matrix is exact too, as is every sum over several layers, or over several shards of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.intent.intent import TokenLoss
from harness.oracle.basis import invert
from harness.oracle.token_loss import NLL, slopes

TOKENS_AT_ONCE = 1024
"""Of a product of tokens with tokens, and of tokens with the vocabulary: what is held in memory at a time."""

SUMS_AT_ONCE = 64
"""Columns whose gradients are held in memory at a time: 2 MB each for a sketch of 512 by 512."""

MARGIN = 5.0
"""Uncertainty over the standard error, which is worked out as if roundings knew nothing of each other. Over 200 random
steps 99 % of the weights are within 1.9 standard errors in float32, and within 4.5 in bfloat16."""


@dataclass(frozen=True)
class Layer:
    """What a linear layer y = W x, or some rows of it, tells of T tokens of weights w.

    The gradient of W is deltas^T diag(w) inputs.
    """

    deltas: Tensor
    """float64 [T, rows]."""
    inputs: Tensor
    """float64 [T, columns of W]."""
    variances: Tensor | None = None
    """float64 [T, rows]: of the deltas as a coarser dtype rounds them. None where nobody needs to know."""

    @property
    def equations(self) -> int:
        """Entries of the gradient that some token has a part in."""
        rows, columns = (int((factor != 0).any(0).sum()) for factor in (self.deltas, self.inputs))
        return rows * columns

    def right_side(self, gradient: Tensor) -> Tensor:
        """Product of each token's gradient with a gradient [rows, columns of W]: float64 [T]."""
        return ((self.deltas @ gradient) * self.inputs).sum(-1)

    def explained(self, weights: Tensor) -> Tensor:
        """The gradient [rows, columns of W] that weights [T] make."""
        return self.deltas.T @ (weights[:, None] * self.inputs)


@dataclass(frozen=True)
class Solution:
    """The weights that explain a gradient best."""

    weights: Tensor
    """float64 [columns]."""
    residual: float
    """Share of the gradient's length that the tokens do not explain."""


@dataclass(frozen=True)
class LocalBasis:
    """Columns of one or more layers, and what is needed to solve with them.

    A column is a token, several tokens whose gradients are alike, or a whole sequence whose tokens have one weight.
    """

    layers: tuple[Layer, ...]
    column: Tensor
    """int64 [T]: the column that each token is part of."""
    lengths: Tensor
    """float64 [columns]: the length of each column."""
    inverse: Tensor
    """float64 [columns, columns]: pseudo-inverse of the Gram matrix of the columns, each scaled to length one."""
    condition: float
    """Condition number of the scaled columns."""
    own_lengths: Tensor
    """float64 [columns]: how long the part of each is that no other has."""

    def solve(self, gradients: Sequence[Tensor]) -> Solution:
        """The weights that explain the gradients of the layers, each float64 [rows, columns of W], best.

        One step of refinement makes up for the squared condition number of the normal equations.
        """
        weights = self._project(gradients)
        weights = weights + self._project(self._rests(gradients, weights))
        rests = self._rests(gradients, weights)
        left, whole = _length(rests), _length(gradients)
        return Solution(weights, left / whole if whole else 0.0)

    def uncertainty(self, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """How far each of the weights [columns] may be from the true one: float64 [columns].

        dtype: that in which the gradient was computed. Every rounding of a delta, and of the gradient itself, is
        followed through the equations, as a variance. A token whose own gradient is short is known badly.
        """
        mine = weights[self.column]
        per_token = torch.as_tensor(sum(_variance(layer, mine, torch.finfo(dtype).eps) for layer in self.layers))
        scaled = self._by_column(per_token) / self.lengths.square()
        return MARGIN * (self.inverse.square() @ scaled).sqrt() / self.lengths

    def _project(self, gradients: Sequence[Tensor]) -> Tensor:
        side = sum(layer.right_side(gradient) for layer, gradient in zip(self.layers, gradients, strict=True))
        scaled = self._by_column(torch.as_tensor(side)) / self.lengths
        return (self.inverse @ scaled) / self.lengths

    def _rests(self, gradients: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
        mine = weights[self.column]
        return [g - layer.explained(mine) for layer, g in zip(self.layers, gradients, strict=True)]

    def _by_column(self, per_token: Tensor) -> Tensor:
        return torch.zeros(len(self.lengths), dtype=torch.float64).index_add(0, self.column, per_token)


def build(layers: Sequence[Layer], column: Tensor | None = None) -> LocalBasis:
    """The basis of these layers, all of the same T tokens.

    column: int64 [T], from 0 without a gap; without it each token is a column of its own.
    """
    if column is None:
        column = torch.arange(len(layers[0].deltas))
    gram = _gram(layers, column)
    found = invert(gram)
    return LocalBasis(tuple(layers), column, found.lengths, found.matrix, found.condition, found.own_lengths)


def _gram(layers: Sequence[Layer], column: Tensor) -> Tensor:
    """Products of all columns with all: float64 [columns, columns]. Tokens of one column add up."""
    count = int(column.max()) + 1
    if _sums_are_quicker(layers, column, count):
        return _gram_of_sums(layers, column, count)
    gram = torch.zeros(count, count, dtype=torch.float64)
    for start in range(0, len(column), TOKENS_AT_ONCE):
        here = slice(start, start + TOKENS_AT_ONCE)
        products = torch.as_tensor(sum((x.deltas[here] @ x.deltas.T) * (x.inputs[here] @ x.inputs.T) for x in layers))
        summed = torch.zeros(len(products), count, dtype=torch.float64).index_add(1, column, products)
        gram.index_add_(0, column[here], summed)
    return gram


def _sums_are_quicker(layers: Sequence[Layer], column: Tensor, count: int) -> bool:
    """By the multiplications that either way takes."""
    entries = sum(layer.deltas.shape[1] * layer.inputs.shape[1] for layer in layers)
    widths = sum(layer.deltas.shape[1] + layer.inputs.shape[1] for layer in layers)
    single = int((torch.bincount(column) == 1).sum())
    several, tokens = count - single, len(column) - single
    blocks = -(-several // SUMS_AT_ONCE)
    by_sums = (tokens * (blocks + 1) / 2 + several * (several / 2 + single)) * entries + single**2 * widths
    return by_sums < len(column) ** 2 * widths


def _gram_of_sums(layers: Sequence[Layer], column: Tensor, count: int) -> Tensor:
    """The same by the sums of each column's outer products, which are few and large where columns are sequences."""
    sizes = torch.bincount(column, minlength=count)
    members = torch.split(column.argsort(stable=True), sizes.tolist())
    single, several = (sizes == 1).nonzero()[:, 0], (sizes > 1).nonzero()[:, 0]
    gram = torch.zeros(count, count, dtype=torch.float64)
    for layer in layers:
        alone = torch.cat([members[i] for i in single]) if len(single) else single
        deltas, inputs = layer.deltas[alone], layer.inputs[alone]
        gram[single[:, None], single] += (deltas @ deltas.T) * (inputs @ inputs.T)
        for start in range(0, len(several), SUMS_AT_ONCE):
            here = several[start : start + SUMS_AT_ONCE]
            mine = _sums(layer, [members[i] for i in here])
            for i, summed in zip(here, mine, strict=True):
                gram[i, single] += ((deltas @ summed) * inputs).sum(-1)
            for other in range(0, start + 1, SUMS_AT_ONCE):
                there = several[other : other + SUMS_AT_ONCE]
                theirs = mine if other == start else _sums(layer, [members[i] for i in there])
                gram[here[:, None], there] += mine.flatten(1) @ theirs.flatten(1).T
                if other != start:
                    gram[there[:, None], here] = gram[here[:, None], there].T
    gram[single[:, None], several] = gram[several[:, None], single].T
    return gram


def _sums(layer: Layer, members: Sequence[Tensor]) -> Tensor:
    """The gradient that each of these sets of tokens makes together: float64 [sets, rows, columns of W]."""
    return torch.stack([layer.deltas[tokens].T @ layer.inputs[tokens] for tokens in members])


def _variance(layer: Layer, weights: Tensor, eps: float) -> Tensor:
    """Of the right side of each token: float64 [T]. Raises ValueError for a layer that does not know its deltas'."""
    if layer.variances is None:
        raise ValueError("the layer was made without a dtype, so that nobody knows how its deltas round")
    squares = layer.deltas.square()
    result = torch.zeros(len(weights), dtype=torch.float64)
    for start in range(0, len(weights), TOKENS_AT_ONCE):
        here = slice(start, start + TOKENS_AT_ONCE)
        crossed = (layer.variances[here] @ squares.T) * (layer.inputs[here] @ layer.inputs.T).square()
        result += weights[here].square() @ crossed
    size = layer.deltas.abs().T @ (weights.abs()[:, None] * layer.inputs.abs())
    return result + ((squares @ (size * _unit(eps)).square()) * layer.inputs.square()).sum(-1)


def _unit(eps: float) -> float:
    """Standard deviation of a rounding to the nearest, relative: evenly distributed over a unit in the last place."""
    return float(eps / 12**0.5)


def _length(gradients: Sequence[Tensor]) -> float:
    return float(torch.stack([g.norm() for g in gradients]).norm())


def bent(scores: Tensor, softcap: float | None) -> Tensor:
    """What a soft cap makes of logits: the cap times tanh(z / cap); the logits themselves without one."""
    return scores if softcap is None else softcap * torch.tanh(scores / softcap)


def head(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    rows: Tensor | None = None,
    dtype: torch.dtype | None = None,
    softcap: float | None = None,
    kind: TokenLoss = NLL,
) -> Layer:
    """The output head as such a layer: delta_t = softmax(z_t) - onehot(target_t), at the chosen rows, but for another
    `kind` of loss.

    hidden: [T, d], the final norm's output that predicts each target. weight: [vocabulary, d]. targets: int64 [T].
    rows: int64 [n], distinct vocabulary entries; all without it. dtype: what logits were computed in; with it the
    layer knows how far its deltas may be off. softcap: as in `bent`; z_t is what the head makes before it.
    """
    chosen = torch.arange(len(weight)) if rows is None else rows
    inputs, matrix = hidden.double(), weight.double()
    deltas = torch.empty(len(inputs), len(chosen), dtype=torch.float64)
    variances = None if dtype is None else torch.empty_like(deltas)
    for start in range(0, len(inputs), TOKENS_AT_ONCE):
        here = slice(start, start + TOKENS_AT_ONCE)
        logits = inputs[here] @ matrix.T
        capped = bent(logits, softcap)
        shares = capped.softmax(-1)
        slope = torch.ones_like(logits) if softcap is None else 1.0 - (capped / softcap).square()
        deltas[here] = slopes(shares, targets[here], chosen, kind) * slope[:, chosen]
        if variances is not None and dtype is not None:
            spread = _spread(logits, inputs[here], matrix, dtype) * slope.square()
            shared = (shares.square() * spread).sum(-1, keepdim=True)
            variances[here] = shares[:, chosen].square() * (spread[:, chosen] + shared)
            variances[here] += (_unit(torch.finfo(dtype).eps) * deltas[here]).square()
    return Layer(deltas, inputs, variances)


def _spread(logits: Tensor, inputs: Tensor, matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Variance of logits [T, vocabulary]: each is rounded to `dtype`, after a sum that is in float32 at least."""
    summed = inputs.norm(dim=1)[:, None] * matrix.norm(dim=1) * _unit(torch.finfo(torch.float32).eps)
    variance: Tensor = (_unit(torch.finfo(dtype).eps) * logits).square() + summed.square()
    return variance


def telling_rows(targets: Tensor, vocabulary: int, most: int) -> Tensor:
    """Vocabulary entries that tell most of these tokens, int64 [at most `most`]: the targets, then others by number.

    A token's gradient is longest at its own target.
    """
    if vocabulary <= most:
        return torch.arange(vocabulary)
    wanted = torch.unique(targets)
    others = torch.ones(vocabulary, dtype=torch.bool).index_fill(0, wanted, False).nonzero()[:, 0]
    return torch.cat((wanted, others))[:most].sort().values
