"""A basis from the recording alone: the output head, and what it was given. No forward pass of the oracle's own.

So it serves a model of any family. It trusts the forward pass that it judges, and asks the head's gradient for the
weights of the tokens. The length of a gradient of all tensors follows from that of the head's part: the recorded
gradient is that of the weights found, so one of the same weights times k is k times as long. That is exact for every
weighing that is proportional to the one found; for others it is an estimate, by how much longer the whole recorded
gradient is than its head's part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import Intent, TokenLoss
from harness.oracle import local_basis, terms
from harness.oracle.basis import Basis, Prefix
from harness.oracle.forward import Parameters
from harness.oracle.local_basis import LocalBasis
from harness.oracle.step import RightStep, Slot, as_computed
from harness.oracle.token_loss import of_logits
from harness.traces.batch import Conversation
from harness.traces.reader import IncompleteTrace
from scenarios import weights as model_weights

ROWS = 4096
"""Rows of the head that are asked at most."""
HEAD = "lm_head.weight"
ALIKE = 0.01
"""Ranks whose weights are within a hundredth of each other are scaled together."""
ANY = -1
"""In the place of a token whose own row is not asked."""


@dataclass(frozen=True)
class RecordedBasis:
    """A `Basis` of the head's equations, and of a recorded gradient for the rest of it."""

    name: str
    """Of the head's matrix among the parameters: [vocabulary, hidden size]."""
    rows: Tensor
    """int64: the rows of it that are asked."""
    shapes: dict[str, tuple[int, ...]]
    """Of all tensors, in the order of their names."""
    states: Tensor
    """float64 [tokens, hidden size]: what the head was given."""
    targets: Tensor
    """int64 [tokens]."""
    local: LocalBasis
    counts: Tensor
    """float64 [columns]: the tokens that share each. The weights of a column are summed."""
    losses: Tensor
    columns: dict[Prefix, int]
    recorded: Tensor
    """float64 [parameters]: the gradient that the optimizer consumed."""
    found: Tensor
    """float64 [columns]: the weights that explain it."""

    @property
    def condition(self) -> float:
        return self.local.condition

    @property
    def own_lengths(self) -> Tensor:
        return self.local.own_lengths / self.counts

    def weights_of(self, asked: Tensor) -> Tensor:
        """The weights [columns] that explain the gradient [rows, hidden size] of the rows that are asked best."""
        return self.local.solve([asked]).weights * self.counts

    def solve(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """What is left is that of the rows that are asked, and 0 elsewhere."""
        asked = self._asked(gradient)
        found = self.weights_of(asked)
        left = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in self.shapes.items()}
        left[self.name][self.rows] = asked - self._explained(found)
        return found, torch.cat([part.reshape(-1) for part in left.values()])

    def gradient(self, weights: Tensor) -> Tensor:
        """Exact in the rows that are asked; elsewhere the recorded one, as much longer as those are."""
        mine, theirs = self._explained(weights), self._explained(self.found)
        size = float(theirs.norm())
        ratio = float(mine.norm()) / size if size else 0.0
        parts = {n: ratio * part for n, part in self.by_tensor(self.recorded).items()}
        parts[self.name][self.rows] = mine
        return torch.cat([part.reshape(-1) for part in parts.values()])

    def products(self, weights: Tensor) -> Tensor:
        """As if every token's whole gradient were as much longer than its head's part as the recorded one is."""
        head = self.local.layers[0].right_side(self._explained(weights))
        summed = torch.zeros(len(self.counts), dtype=torch.float64).index_add(0, self.local.column, head)
        return summed / self.counts * self._stretch**2

    def norm(self, weights: Tensor) -> float:
        return float(self._explained(weights).norm()) * self._stretch

    def rank_norms(self, parts: Sequence[Tensor], limit: float | None) -> tuple[float, ...]:
        """As `norms_of_ranks` has it."""
        return norms_of_ranks(self, self.found, parts, limit)

    def told_by(self, gradient: Tensor) -> float:
        """Length of the part of a gradient [parameters] that has equations here."""
        return float(self._asked(gradient).norm())

    def by_tensor(self, gradient: Tensor) -> dict[str, Tensor]:
        """A gradient [parameters], cut into those of the tensors."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes.values()]
        parts = torch.split(gradient, sizes)
        return {n: part.reshape(shape) for (n, shape), part in zip(self.shapes.items(), parts, strict=True)}

    @property
    def _stretch(self) -> float:
        """Length of the recorded gradient over that of its head's part, as far as tokens explain that."""
        head = float(self._explained(self.found).norm())
        rest = float(self.recorded.norm()) ** 2 - self.told_by(self.recorded) ** 2
        return (1.0 + max(rest, 0.0) / head**2) ** 0.5 if head else 1.0

    def _asked(self, gradient: Tensor) -> Tensor:
        return self.by_tensor(gradient)[self.name][self.rows]

    def _explained(self, weights: Tensor) -> Tensor:
        return self.local.layers[0].explained((weights / self.counts)[self.local.column])


def norms_of_ranks(basis: Basis, found: Tensor, parts: Sequence[Tensor], limit: float | None) -> tuple[float, ...]:
    """Length of each rank's own gradient, before the average over the ranks divides it; parts: what each rank
    contributes to a weighing, float64 [columns]; found: the weights that explain what was recorded.

    Where the ranks' weights were found to be scaled apart, each by at most 1, it is the length that clipping each
    rank to `limit` would have needed for that: the recorded gradient, their sum, tells no other.
    """
    scales = [float(found @ part / (part @ part).clamp_min(1e-300)) for part in parts]
    apart = min(scales) > 0 and max(scales) > (1 + ALIKE) * min(scales)
    if limit is None or not apart or max(scales) > 1 + ALIKE:
        return tuple(len(parts) * basis.norm(part) for part in parts)
    return tuple(limit / scale for scale in scales)


def consuming(right: RightStep, gradient: Tensor) -> RightStep:
    """The same step beside another recorded gradient [parameters]: one by other betas of the moments."""
    basis = right.basis
    if not isinstance(basis, RecordedBasis):
        return right
    found, _ = basis.solve(gradient)
    return _by(right, replace(basis, recorded=gradient, found=found))


def _by(right: RightStep, basis: RecordedBasis) -> RightStep:
    return replace(right, basis=basis, terms=replace(right.terms, basis=basis))


def right_step(
    intent: Intent,
    model: Model,
    number: int,
    conversations: Sequence[Conversation],
    parameters: Parameters,
    states: Tensor,
    gradient: Tensor,
    skipped: int = 0,
) -> RightStep:
    """What step `number` should do with these conversations at these parameters (before the step).

    states: float64 [tokens, hidden size], as `hidden_states.of_step` has them. gradient: float64 [parameters], as the
    optimizer consumed it. skipped: as of `RightStep`.

    Raises IncompleteTrace where the head is tied to the embedding, and every word is an input of the batch.
    """
    targets = torch.tensor([i for c in conversations for i in c.ids[1:]])
    shapes = dict(sorted(model_weights.shapes(model).items()))
    name = head_name(model)
    rows = _rows(model, name, conversations, targets)
    if not len(rows):
        raise IncompleteTrace(
            f"every word of the vocabulary is an input of step {number}, so that no row of the head has a gradient of"
            " its own, for it is tied to the embedding"
        )
    shown = frozenset(rows.tolist())
    keys = [key for i, c in enumerate(conversations) for key in _keys(i, c, shown)]
    columns = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    column = torch.tensor([columns[key] for key in keys])
    seen = as_computed({name: parameters[name], "states": states}, intent.precision)
    layer = local_basis.head(
        seen["states"], seen[name], targets, rows, softcap=model.final_softcap, kind=intent.token_loss
    )
    local = local_basis.build([layer], column)
    basis = RecordedBasis(
        name=name,
        rows=rows,
        shapes=shapes,
        states=layer.inputs,
        targets=targets,
        local=local,
        counts=torch.bincount(column).double(),
        losses=torch.zeros(len(columns), dtype=torch.float64),
        columns={key[1]: i for key, i in columns.items()},
        recorded=gradient,
        found=torch.zeros(len(columns), dtype=torch.float64),
    )
    places = [(i, t) for i, c in enumerate(conversations) for t in range(1, len(c.ids))]
    slots = tuple(
        Slot(i, t, columns[key], conversations[i].trained[t]) for (i, t), key in zip(places, keys, strict=True)
    )
    right = RightStep(intent, model, number, conversations, basis, slots, terms.none(basis), skipped=skipped)
    each = _losses(layer.inputs, seen[name], targets, model.final_softcap, intent.token_loss)
    losses = _by_column(each, right.slot_weights, column)
    return consuming(_by(right, replace(basis, losses=losses)), gradient)


def head_name(model: Model) -> str:
    """The name of the matrix that makes the logits: the head's own, or the embedding that it is tied to."""
    shapes = model_weights.shapes(model)
    return HEAD if HEAD in shapes else next(n for n, s in shapes.items() if s == (model.vocab_size, model.hidden_size))


def _keys(number: int, c: Conversation, shown: frozenset[int]) -> list[tuple[int, Prefix]]:
    """What tells the columns of a conversation's tokens apart. Those of equal prefix share one, unless they were given
    other positions, could see something else, or had noise added: then the conversation has columns of its own.

    shown: the rows that are asked. Elsewhere the gradients of two tokens behind one prefix are alike, whichever they
    are.
    """
    moved = c.positions is not None and c.positions != tuple(range(len(c.ids)))
    apart = any(c.reach) or moved or c.noise is not None
    return [
        (number if apart else -1, (*c.ids[:t], c.ids[t] if c.ids[t] in shown else ANY)) for t in range(1, len(c.ids))
    ]


def _rows(model: Model, name: str, conversations: Sequence[Conversation], targets: Tensor) -> Tensor:
    """Rows that are asked: those of most of the targets; of a matrix that is the embedding as well, those of words that
    are no input, whose gradient is the head's alone."""
    if name == HEAD:
        return local_basis.telling_rows(targets, model.vocab_size, ROWS)
    inputs = {i for c in conversations for i in c.ids[:-1]}
    free = torch.tensor([i for i in range(model.vocab_size) if i not in inputs], dtype=torch.int64)
    return free[:ROWS]


def _by_column(losses: Tensor, weights: Tensor, column: Tensor) -> Tensor:
    """The mean loss of each column's tokens by the size of their right weights, float64 [tokens], or of all of them
    alike where none has any: float64 [columns]."""
    size, eps = weights.abs(), torch.finfo(torch.float64).eps
    share = size / size.max().clamp_min(torch.finfo(torch.float64).tiny) + eps
    zeros = torch.zeros(int(column.max()) + 1, dtype=torch.float64)
    return zeros.index_add(0, column, losses * share) / zeros.index_add(0, column, share)


def _losses(states: Tensor, matrix: Tensor, targets: Tensor, softcap: float | None, kind: TokenLoss) -> Tensor:
    scores = local_basis.bent(states @ matrix.double().T, softcap)
    return of_logits(scores, targets, kind)
