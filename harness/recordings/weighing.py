"""From a recording to the weight of every token in a watched step, and to the simplest way of weighing that fits."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import Group, Intent, Rule
from harness.oracle import hypotheses, terms
from harness.oracle.floor import MARGIN, TELL, Floor
from harness.oracle.hypotheses import Fit
from harness.oracle.observe import Moments, betas
from harness.oracle.step import RightStep, Slot
from harness.recordings import head_basis
from harness.recordings.head_basis import HeadBasis
from harness.recordings.reader import Header, OfRank, Recording
from harness.traces.batch import Conversation
from lockstep_recorder.batch import CROSSING, PADDING, TOLD, TRAINED

LEAST = 1e-6
"""What is taken for the floor at least: float32, and sums of it in another order."""
NOTICEABLE = 0.02
"""Share of the largest weight from which on a token counts as trained, where no labels tell."""
BETA1, BETA2 = 0.9, 0.999


class Unweighable(Exception):
    """A step that cannot be weighed; the message says why."""


@dataclass(frozen=True)
class Tokens:
    """All predicted tokens of a step, rank by rank. Tensors are [T]."""

    rank: Tensor
    micro_batch: Tensor
    text: Tensor
    """int64: number of its text among those of all ranks."""
    kind: Tensor
    weights: Tensor
    """float64, as recovered."""
    uncertain: Tensor
    """float64: how far each may be off."""

    def any_of(self, bit: int) -> Tensor:
        return (self.kind & bit) != 0


@dataclass(frozen=True)
class WeighedStep:
    """One step, weighed."""

    number: int
    tokens: Tokens
    right: RightStep
    """The step as a mean over its trained tokens would have it, unclipped."""
    fit: Fit
    floor: Floor
    norm: float
    """Length of the gradient that the optimizer consumed."""
    residual: float
    """Share of the head's gradient that the tokens do not explain."""
    labels: bool
    """Whether labels told which tokens are to be trained; else the weights themselves did."""
    beta1: float


@dataclass(frozen=True)
class _Solved:
    """The weights that explain best what the optimizer consumed."""

    basis: HeadBasis
    weights: Tensor
    """float64 [columns]."""
    left: Tensor
    """float64 [R, C]: sketch of what they do not explain."""
    residual: float
    """Its share of the head's gradient."""
    norm: float
    """Of the whole gradient."""

    def per_token(self, values: Tensor) -> Tensor:
        """Values [columns], dealt out evenly to the tokens [T] of each."""
        return (values / self.basis.counts)[self.basis.local.column]


def weigh(recording: Recording, number: int) -> WeighedStep:
    """Raises Unweighable."""
    parts = recording.steps[number]
    for why in (w for part in parts for w in part.line.unknown):
        raise Unweighable(why)
    if not any("token/delta" in part.tensors for part in parts):
        raise Unweighable("no forward pass was seen")
    beta1 = _beta1(parts)
    solved = _solved(parts, beta1)
    tokens = _tokens(parts, solved)
    labels = bool(tokens.any_of(TOLD).all())
    trained = _trained(tokens, labels)
    right = _right(number, recording.header, parts, solved.basis, tokens, trained)
    floor = _floor(solved, tokens, trained)
    fit = hypotheses.explain(right, solved.weights, floor)
    return WeighedStep(number, tokens, right, fit, floor, solved.norm, solved.residual, labels, beta1)


def _solved(parts: Sequence[OfRank], beta1: float) -> _Solved:
    consumed, basis = gradient(parts, beta1), _basis(parts)
    weights, left = basis.solve(consumed)
    size, explained = float(consumed.norm()), float((consumed - left).norm())
    if not size:
        raise Unweighable("the optimizer consumed no gradient of the head")
    norm = _norm(parts, _beta2(parts))
    stretch = norm / explained if norm and explained else 1.0
    return _Solved(replace(basis, stretch=max(stretch, 1.0)), weights, left, float(left.norm()) / size, norm or size)


def _trained(tokens: Tokens, labels: bool) -> Tensor:
    """Which tokens are to be trained, bool [T]: by the labels, or else by the weights."""
    noticeable = tokens.weights.abs() > NOTICEABLE * tokens.weights.abs().max()
    trained = (tokens.any_of(TRAINED) if labels else noticeable) & ~tokens.any_of(PADDING | CROSSING)
    if not bool(trained.any()):
        raise Unweighable("no token is to be trained")
    return trained


def _floor(solved: _Solved, tokens: Tokens, trained: Tensor) -> Floor:
    """By what the tokens do not explain, which is taken for noise."""
    unit = float(tokens.weights.abs().max())
    told = tokens.uncertain[trained & (tokens.uncertain < TELL * unit)]
    if not len(told):
        raise Unweighable("the gradients of the trained tokens cannot be told apart")
    # In a coarse dtype columns are off as well as the gradient: no weight is known better than that is explained.
    known = max(LEAST, solved.residual, float(told.max()) / unit / MARGIN)
    least = dict.fromkeys((f.name for f in fields(Floor)), LEAST)
    noise = float(solved.left.square().mean().sqrt()) / unit
    return Floor(**{**least, "token": known, "row": known, "norm": known, "noise": noise})


def _tokens(parts: Sequence[OfRank], solved: _Solved) -> Tokens:
    kind = torch.cat([part.tensors["token/kind"] for part in parts])
    weights, uncertain = (
        solved.per_token(values) for values in (solved.weights, solved.basis.uncertainty(solved.left))
    )
    sizes = [len(part.tensors["token/kind"]) for part in parts]
    rank = torch.cat([torch.full((n,), r) for r, n in enumerate(sizes)])
    number = torch.cat([part.tensors["token/pass"] for part in parts])
    text = torch.cat([part.tensors["token/text"] for part in parts])
    _, whole = torch.unique(torch.stack((rank, number, text)), dim=1, return_inverse=True)
    return Tokens(rank, number, whole, kind, weights, uncertain)


def _right(
    number: int, header: Header, parts: Sequence[OfRank], basis: HeadBasis, tokens: Tokens, trained: Tensor
) -> RightStep:
    conversations, slots = [], []
    for i in range(int(tokens.text.max()) + 1):
        mine = (tokens.text == i).nonzero()[:, 0]
        marks = (False, *trained[mine].tolist())
        rank, micro_batch = int(tokens.rank[mine[0]]), int(tokens.micro_batch[mine[0]])
        unknown = (0,) * len(marks)  # whose token ids nobody has kept
        conversations.append(Conversation(rank, micro_batch, i, None, unknown, marks, marks, None, None, unknown))
        slots += [Slot(i, t, int(basis.local.column[j]), marks[t]) for t, j in enumerate(mine.tolist(), 1)]
    passes = max(part.line.passes for part in parts)
    texts = max((len(names) for part in parts for names in part.line.texts), default=1)
    intent = Intent(Rule((Group(("*",)),)), 1, len(parts), max(1, passes), max(1, texts))
    model = Model(vocab_size=header.vocabulary, hidden_size=header.width)
    return RightStep(intent, model, number, conversations, basis, tuple(slots), terms.none(basis))


def _basis(parts: Sequence[OfRank]) -> HeadBasis:
    def joined(name: str) -> Tensor:
        return torch.cat([part.tensors[f"token/{name}"] for part in parts])

    return head_basis.build(joined("delta"), joined("hidden"), joined("loss"))


def gradient(parts: Sequence[OfRank], beta1: float) -> Tensor:
    """Sketch float64 [R, C] of the head's gradient that the optimizer consumed: G = (m - beta1 m') / (1 - beta1)."""
    each = [_moved(part.tensors, beta1) for part in parts]
    found = [g for g in each if g is not None]
    if not found:
        raise Unweighable("the optimizer keeps no first moment of the head that tells its gradient")
    return found[0] if parts[0].line.layout == "whole" else torch.stack(found).sum(0)


def _moved(tensors: Mapping[str, Tensor], beta1: float) -> Tensor | None:
    after = tensors.get("after/head/exp_avg")
    if after is None:  # no Adam: what it was given
        given = tensors.get("before/head/grad")
        return None if given is None else given.double()
    before = tensors.get("before/head/exp_avg")
    return (after.double() - (0.0 if before is None else beta1 * before.double())) / (1.0 - beta1)


def _norm(parts: Sequence[OfRank], beta2: float) -> float | None:
    """Length of the gradient of all tensors, from the sums of the second moments: they follow the squares of the
    gradient as the moments do."""
    first = parts[0]
    chosen = parts[:1] if first.line.layout == "whole" else parts
    total = 0.0
    for part in chosen:
        before, after = part.tensors.get("before/sample/squares"), part.tensors.get("after/sample/squares")
        if before is None or after is None or not part.line.all_squares:
            return None
        total += float((after - beta2 * before).sum()) / (1.0 - beta2)
        given = part.tensors.get("before/sample/grad_squares")
        total += 0.0 if given is None else float(given[after == 0.0].sum())
    return total**0.5 if total > 0 else None


def _beta1(parts: Sequence[OfRank]) -> float:
    found = _betas(parts)
    return found[0] if found else _configured(parts, 0, BETA1)


def _beta2(parts: Sequence[OfRank]) -> float:
    found = _betas(parts)
    return found[1] if found else _configured(parts, 1, BETA2)


def _betas(parts: Sequence[OfRank]) -> tuple[float, float] | None:
    """As the samples of the moments follow them; None after a first step, which does not tell."""
    names = ("before/sample/exp_avg", "after/sample/exp_avg", "before/sample/exp_avg_sq", "after/sample/exp_avg_sq")
    chosen = [part.tensors for part in parts if all(name in part.tensors for name in names)]
    if not chosen:
        return None
    flat = [torch.cat([tensors[name].double() for tensors in chosen]) for name in names]
    found = betas(Moments(*flat), 1e-3)
    return None if found.beta1 is None or found.beta2 is None else (found.beta1, found.beta2)


def _configured(parts: Sequence[OfRank], index: int, usual: float) -> float:
    told = [group.get("betas") for group in parts[0].line.groups]
    values = [float(pair[index]) for pair in told if isinstance(pair, list) and len(pair) == 2]
    middle = statistics.median(values) if values else usual
    return middle if 0.0 <= middle < 1.0 else usual
