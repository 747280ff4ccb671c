"""Rows of the head that take no part, though they should: those beyond the tokenizer's vocabulary, or the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from harness.intent.intent import TokenLoss
from harness.oracle import architectures, forward, full_basis, terms
from harness.oracle.architectures.passed import HEAD
from harness.oracle.basis import Segment
from harness.oracle.forward import Parameters
from harness.oracle.full_basis import FullBasis
from harness.oracle.step import RightStep

CAUSE = "vocabulary-rows"
OUT, EXTRA, LAST = "out of the softmax", "extra ones untrained", "last ones untrained"


def out_of_softmax(
    right: RightStep, seen: Parameters, segments: Sequence[Segment]
) -> Iterator[tuple[str, str, RightStep]]:
    """The step whose softmax ends with the tokenizer's vocabulary, if the model has rows beyond it."""
    words = right.model.vocab_size - right.model.extra_rows
    if not right.model.extra_rows:
        return

    def losses(scores: Tensor, ids: Tensor, kind: TokenLoss) -> Tensor:
        return forward.token_losses(scores[:, :words], ids, kind)

    yield CAUSE, OUT, _by(right, full_basis.build(seen, right.model, segments, right.intent.token_loss, losses))


def untrained(
    right: RightStep, seen: Parameters, segments: Sequence[Segment], first: Tensor, sizes: dict[str, int]
) -> tuple[str, RightStep, Tensor] | None:
    """If the head's last rows have no moment, and all before them have one: which these are, the step of all other
    parameters, and where these are, bool [parameters].

    first: float64 [parameters], the first moment; sizes: numbers of each tensor, in that order.
    """
    embedding = architectures.embedding(right.model.architecture)
    head = embedding if right.model.tied_embeddings else HEAD
    if head not in sizes or right.terms.names:
        return None
    rows = right.model.vocab_size
    parts = dict(zip(sizes, torch.split(first, list(sizes.values())), strict=True))
    moved = parts[head].view(rows, -1).any(1)
    lost = rows - int(moved.sum())
    if not 0 < lost < rows or bool(moved[rows - lost :].any()):
        return None
    kept = {name: torch.ones(size, dtype=torch.bool) for name, size in sizes.items()}
    for name in {head, embedding} & sizes.keys():
        kept[name].view(rows, -1)[rows - lost :] = False
    every = torch.cat(list(kept.values()))
    basis = full_basis.build(seen, right.model, segments, right.intent.token_loss)
    what = EXTRA if lost == right.model.extra_rows else LAST
    return what, _by(right, full_basis.of_matrix(basis, basis.matrix[:, every])), every


def _by(right: RightStep, basis: FullBasis) -> RightStep:
    return replace(right, basis=basis, terms=terms.none(basis))
