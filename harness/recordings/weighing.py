"""From a recording to the weight of every token in a watched step, and to the simplest way of weighing that fits."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import Group, Intent, Rule
from harness.oracle import factors, hypotheses, terms
from harness.oracle.floor import MARGIN, TELL, Floor
from harness.oracle.hypotheses import Fit
from harness.oracle.local_basis import Layer
from harness.oracle.observe import Betas, Moments, betas
from harness.oracle.step import RightStep
from harness.recordings import head_basis, placing, roles, unknowns
from harness.recordings.head_basis import HeadBasis
from harness.recordings.placing import Placed
from harness.recordings.reader import Header, OfRank, Recording
from harness.recordings.roles import Places
from lockstep_recorder.batch import CROSSING, PADDING, TOLD, TRAINED

LEAST = 1e-6
"""What is taken for the floor at least: float32, and sums of it in another order."""
KNOWN = 0.02
"""Share of the largest weight to which a token's weight must be known to count, if any is known so well. Others are
left out, so that they do not make the tolerance of all wide."""
NOTICEABLE = 0.02
"""Share of the largest weight from which on a token counts as trained, where no labels tell."""
UNEXPLAINED = 0.05
"""Share of the head's gradient that tokens may leave unexplained: bfloat16 leaves some thousandths."""
CHOSEN = 1e-3
"""Relative distance of a gradient's length to a number of two digits from which on it is that number."""
SURELY = 1e-5
"""The same where the factor is one that trainers are known to get wrong: clipping may come near such a one."""
BETA1, BETA2 = 0.9, 0.999
SAME_BETA = 1e-4
"""Distance up to which the betas that float32 moments follow are the configured ones."""


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
    """uint8: bits of `lockstep_recorder.batch`."""
    weights: Tensor
    """float64, as recovered."""
    uncertain: Tensor
    """float64: how far each may be off."""

    def any_of(self, bit: int) -> Tensor:
        return (self.kind & bit) != 0

    @property
    def largest(self) -> float:
        """The largest weight that a token surely has: one whose gradient is next to nothing may show any."""
        return float((self.weights.abs() - self.uncertain).max().clamp_min(0.0))

    @property
    def known(self) -> Tensor:
        """Whose weights can be told: bool [T]."""
        return self.uncertain < TELL * self.largest

    @property
    def noticeable(self) -> Tensor:
        """Which surely weigh something: bool [T]."""
        return (self.weights.abs() > NOTICEABLE * self.largest + self.uncertain) & self.known


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
    trained: Tensor
    """bool [T]: those tokens."""
    behind: tuple[bool, ...]
    """Whether each slot of `right` is behind a text: no mask that somebody may want has it."""
    solved: Solved
    betas: tuple[float, float]
    """Adam's, by which the gradient was recovered."""


@dataclass(frozen=True)
class Solved:
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
    norm_error: float
    """How far that may be off, relative: sums of moments in float32 tell it."""

    def per_token(self, values: Tensor) -> Tensor:
        """Values [columns], dealt out evenly to the tokens [T] of each."""
        return (values / self.basis.counts)[self.basis.local.column]


def weigh(recording: Recording, number: int) -> WeighedStep:
    """Raises Unweighable."""
    parts = recording.steps[number]
    for why in (w for part in parts for w in part.line.unknown):
        raise Unweighable(why)
    if not any("token/delta" in part.tensors for part in parts):
        raise Unweighable("no forward pass was seen, of a model in training mode (`model.train()`)")
    if (bad := _inconsistent(parts)) is not None:
        raise Unweighable(f"the recording contradicts itself: {bad}")
    followed = used_betas(parts)
    solved = _solved(parts, followed)
    tokens = _tokens(parts, solved)
    labels = bool(tokens.any_of(TOLD).all())
    trained = _trained(tokens, labels)
    placed = placing.place(_places(parts), solved.basis.local.column, trained, tokens.noticeable)
    floor = _floor(solved, tokens, trained)
    shared = _shared(placed, solved)
    coarse = _coarseness(solved, floor, shared)
    right = _right(number, recording.header, parts, solved.basis, placed, coarse, shared)
    fit = hypotheses.explain(right, solved.weights, floor)
    return WeighedStep(
        number,
        tokens,
        right,
        fit,
        floor,
        solved.norm,
        solved.residual,
        labels,
        trained,
        placed.behind,
        solved,
        followed,
    )


_PER_TOKEN = ("delta", "hidden", "loss", "kind", "text", "pass")


def _inconsistent(parts: Sequence[OfRank]) -> str | None:
    """What no recorder leaves: a recording from elsewhere may hold anything."""
    widths = set()
    if len({part.line.layout for part in parts}) > 1:
        return "ranks keep the matrix in different ways"
    for rank, part in enumerate(parts):
        found = {name: part.tensors.get(f"token/{name}") for name in _PER_TOKEN}
        there = {name: tensor for name, tensor in found.items() if tensor is not None}
        if not there:
            if part.line.texts:
                return f"rank {rank} has texts, and no tokens"
            continue
        if len(there) < len(found) or len({len(tensor) for tensor in there.values()}) != 1:
            return f"the tokens of rank {rank} are not all there"
        if any(tensor.dim() != (2 if name in ("delta", "hidden") else 1) for name, tensor in there.items()):
            return f"the tokens of rank {rank} have other shapes"
        widths.add((there["delta"].shape[1], there["hidden"].shape[1]))
        numbers = torch.stack((there["pass"], there["text"]))
        if bool(((numbers < 0) | (numbers >= 2**20)).any()):
            return f"rank {rank} numbers its texts as nobody does"
        texts = torch.unique(numbers, dim=1).shape[1]
        if texts != sum(map(len, part.line.texts)):
            return f"the texts of rank {rank} are not those of its tokens"
    return "ranks have sketches of other sizes" if len(widths) > 1 else None


def limit(step: WeighedStep) -> float | None:
    """What the gradient was clipped to; None if it was not."""
    h = step.fit.hypothesis
    if h.limit is not None:
        return h.limit
    chosen = float(f"{step.norm:.2g}")
    near = CHOSEN if h.scale.name == factors.UNNAMED else SURELY
    clipped = h.scale.factor < 1.0 and abs(step.norm / chosen - 1.0) <= near if chosen else False
    return chosen if clipped else None


def limit_of_run(steps: Sequence[WeighedStep]) -> float | None:
    """What gradients were clipped to: no step's is longer, and each that is shorter than it was is as long as that. A
    norm is near a number of two digits by chance as well, one in a dozen."""
    found = {limit(step) for step in steps} - {None}
    if len(found) != 1:
        return None
    (wanted,) = found
    shorter = [s for s in steps if s.fit.excess <= 1.0 and _is_shorter(s)]
    longest = max((step.norm for step in steps), default=0.0)
    same = wanted is not None and longest <= wanted * (1.0 + CHOSEN) and all(limit(s) == wanted for s in shorter)
    return wanted if same else None


def _is_shorter(step: WeighedStep) -> bool:
    h = step.fit.hypothesis
    return h.limit is not None or (h.scale.name == factors.UNNAMED and h.scale.factor < 1.0)


def _solved(parts: Sequence[OfRank], followed: tuple[float, float]) -> Solved:
    consumed = gradient(parts, followed[0])
    size = float(consumed.norm())
    if not size:
        raise Unweighable("the optimizer consumed no gradient of the head")
    basis = _basis(parts, consumed)
    weights, left = basis.solve(consumed)
    explained, (norm, error) = float((consumed - left).norm()), _norm(parts, followed[1])
    if norm is None:
        raise Unweighable("the length of the whole gradient is not known: some parameters tell nothing of theirs")
    stretch = norm / explained if explained else 1.0
    basis = replace(basis, stretch=max(stretch, 1.0), found=weights)
    return Solved(basis, weights, left, float(left.norm()) / size, norm, error)


def _trained(tokens: Tokens, labels: bool) -> Tensor:
    """Which tokens are to be trained, bool [T]: by the labels, or else by the weights."""
    trained = (tokens.any_of(TRAINED) if labels else tokens.noticeable) & ~tokens.any_of(PADDING | CROSSING)
    if not bool(trained.any()):
        raise Unweighable("no token is to be trained")
    return trained


def _floor(solved: Solved, tokens: Tokens, trained: Tensor) -> Floor:
    """By what the tokens do not explain, which is taken for noise."""
    unit = tokens.largest
    share = next((s for s in (KNOWN, TELL) if bool((tokens.uncertain < s * unit)[trained].any())), None)
    if share is None and solved.residual <= UNEXPLAINED:
        raise Unweighable("the gradients of the trained tokens cannot be told apart")
    # In a coarse dtype columns are off as well as the gradient: no weight is known better than that is explained.
    told = tokens.uncertain[tokens.uncertain < (share or 0.0) * unit]
    known = max(LEAST, solved.residual, float(told.max()) / unit / MARGIN if len(told) else 0.0)
    least = dict.fromkeys((f.name for f in fields(Floor)), LEAST)
    noise = solved.basis.noise(solved.left) / float(solved.weights.abs().max()) * TELL / (share or TELL)
    return Floor(**{**least, "token": known, "row": known, "norm": known, "noise": noise})


def _tokens(parts: Sequence[OfRank], solved: Solved) -> Tokens:
    weights, uncertain = (
        solved.per_token(values) for values in (solved.weights, solved.basis.uncertainty(solved.left))
    )
    places = _places(parts)
    return Tokens(places.rank, places.micro_batch, places.text, places.kind, weights, uncertain)


def _places(parts: Sequence[OfRank]) -> Places:
    there = [(rank, part.tensors) for rank, part in enumerate(parts) if "token/kind" in part.tensors]
    rank = torch.cat([torch.full((len(tensors["token/kind"]),), rank) for rank, tensors in there])
    number, text, kind = (torch.cat([t[f"token/{name}"] for _, t in there]) for name in ("pass", "text", "kind"))
    _, whole = torch.unique(torch.stack((rank, number, text)), dim=1, return_inverse=True)
    return Places(rank, number, whole, kind)


def _right(
    number: int,
    header: Header,
    parts: Sequence[OfRank],
    basis: HeadBasis,
    placed: Placed,
    coarse: Tensor,
    shared: Tensor,
) -> RightStep:
    passes = max(part.line.passes for part in parts)
    texts = max((len(names) for part in parts for names in part.line.texts), default=1)
    intent = Intent(Rule((Group(("*",)),)), 1, len(parts), max(1, passes), max(1, texts))
    model = Model(vocab_size=header.vocabulary, hidden_size=header.width)
    return RightStep(
        intent, model, number, placed.conversations, basis, placed.slots, terms.none(basis), coarse, shared
    )


def _shared(placed: Placed, solved: Solved) -> Tensor:
    """Tokens of each column: weights are compared one by one, unless there are too many of them to be told apart."""
    column = torch.tensor([slot.column for slot in placed.slots])
    many = len(solved.basis.local.column) > unknowns.limit(solved.basis.local.layers[0])
    counts = torch.bincount(column, minlength=len(solved.weights)).double().clamp_min(1.0)
    return counts if many else torch.ones_like(counts)


def _coarseness(solved: Solved, floor: Floor, shared: Tensor) -> Tensor:
    """Of each column: a sum of many weights is compared as one of them is, and by its own uncertainty. Roundings of the
    gradients of other tokens, which are relative to their length, come in by as much as a column is like those."""
    allowed = floor.tolerance("token") * float((solved.weights / shared).abs().max())
    uncertain = solved.basis.uncertainty(solved.left) / shared
    alike = solved.basis.local.lengths / solved.basis.local.own_lengths
    return shared * torch.maximum(uncertain / allowed, alike).clamp(1.0, 1e12)


def _basis(parts: Sequence[OfRank], consumed: Tensor) -> HeadBasis:
    def joined(name: str) -> Tensor:
        return torch.cat([p.tensors[f"token/{name}"] for p in parts if f"token/{name}" in p.tensors])

    layer = Layer(joined("delta").double(), joined("hidden").double())
    try:
        return head_basis.build(
            layer, joined("loss"), unknowns.shared(layer, consumed, roles.groupings(_places(parts)))
        )
    except unknowns.TooMany as error:
        raise Unweighable(str(error)) from None


def gradient(parts: Sequence[OfRank], beta1: float) -> Tensor:
    """Sketch float64 [R, C] of the head's gradient that the optimizer consumed: G = (m - beta1 m') / (1 - beta1)."""
    each = [_moved(part.tensors, beta1) for part in parts]
    found = [g for g in each if g is not None]
    if not found:
        raise Unweighable("the optimizer keeps no first moment of the head that tells its gradient")
    return found[0] if parts[0].line.layout == "whole" else torch.stack(found).sum(0)


def _moved(tensors: Mapping[str, Tensor], beta1: float) -> Tensor | None:
    after = tensors.get("after/matrix/exp_avg")
    if after is None:  # no Adam: what it was given
        given = tensors.get("before/matrix/grad")
        return None if given is None else given.double()
    before = tensors.get("before/matrix/exp_avg")
    return (after.double() - (0.0 if before is None else beta1 * before.double())) / (1.0 - beta1)


def _norm(parts: Sequence[OfRank], beta2: float) -> tuple[float | None, float]:
    """Length of the gradient of all tensors, from the sums of the second moments: they follow the squares of the
    gradient as the moments do. And how far that may be off, relative, as those are rounded to float32."""
    chosen = parts[:1] if parts[0].line.layout == "whole" else parts
    total, size = 0.0, 0.0
    for part in chosen:
        before, after = part.tensors.get("before/sample/squares"), part.tensors.get("after/sample/squares")
        if before is None or after is None or len(before) != len(after) or not part.line.all_squares:
            return None, 0.0
        total += float((after - beta2 * before).sum()) / (1.0 - beta2)
        size += float(after.sum()) / (1.0 - beta2)
        given = part.tensors.get("before/sample/grad_squares")
        total += 0.0 if given is None or len(given) != len(after) else float(given[after == 0.0].sum())
    if not total > 0:
        return None, 0.0
    return total**0.5, torch.finfo(torch.float32).eps * size / total / 2.0


def used_betas(parts: Sequence[OfRank]) -> tuple[float, float]:
    """Adam's: those that are configured, unless the moments follow others."""
    told, found = tuple(_configured(parts, i, usual) for i, usual in enumerate((BETA1, BETA2))), followed_betas(parts)
    if found.beta1 is None or found.beta2 is None:
        return told[0], told[1]
    return _chosen(told[0], found.beta1), _chosen(told[1], found.beta2)


def _chosen(told: float, found: float) -> float:
    return told if abs(found - told) <= SAME_BETA or not 0.0 <= found < 1.0 else found


def sampled_moments(parts: Sequence[OfRank]) -> Moments | None:
    """Adam's moments around a step, of the entries that are recorded; None if there are none."""
    names = ("before/sample/exp_avg", "after/sample/exp_avg", "before/sample/exp_avg_sq", "after/sample/exp_avg_sq")
    chosen = [part.tensors for part in parts if all(name in part.tensors for name in names)]
    if not chosen:
        return None
    flat = [torch.cat([tensors[name].double() for tensors in chosen]) for name in names]
    return Moments(*flat) if len({len(each) for each in flat}) == 1 else None


def followed_betas(parts: Sequence[OfRank]) -> Betas:
    """As the samples of the moments follow them; none after a first step, which does not tell."""
    moments = sampled_moments(parts)
    return Betas(None, None) if moments is None else betas(moments, 1e-3)


def _configured(parts: Sequence[OfRank], index: int, usual: float) -> float:
    told = [group.get("betas") for group in parts[0].line.groups]
    values = [float(pair[index]) for pair in told if isinstance(pair, list) and len(pair) == 2]
    middle = statistics.median(values) if values else usual
    return middle if 0.0 <= middle < 1.0 else usual
