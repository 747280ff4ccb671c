"""Two recordings against each other: the same rows weighed alike, by the same rule? From which step on not?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from harness.intent.intent import Mean
from harness.intent.words import told
from harness.oracle import levels
from harness.oracle.floor import MARGIN
from harness.recordings import effective, weighing
from harness.recordings.effective import NEAR, GroupRule
from harness.recordings.reader import OfRank, Recording
from harness.recordings.weighing import Unweighable, WeighedStep
from lockstep_recorder.batch import CROSSING, PADDING

Text = tuple[str, int, int, bool]
"""Hash, tokens and trained tokens of a text, which say that two are one; and whether it is about the trained ones."""


@dataclass(frozen=True)
class Difference:
    """Something in which a step differs."""

    step: int
    message: str


@dataclass(frozen=True)
class Comparison:
    """What two recordings, A and B, have alike."""

    steps: tuple[int, ...]
    """Watched in both."""
    moved: bool
    """Whether the rows are the same, but not on the same ranks and micro-batches."""
    inputs: Difference | None
    """The first step whose rows are not the same; what comes later is not compared."""
    differences: tuple[Difference, ...]
    """Of weights and rule, in the order of the steps."""
    unknown: tuple[str, ...]
    """What could not be compared, and why."""
    farthest: float
    """Largest relative distance of a row's weights in A and B, over the steps that are the same."""

    @property
    def same(self) -> bool:
        return bool(self.steps) and self.inputs is None and not self.differences

    @property
    def parted(self) -> int | None:
        """The first step that differs."""
        first = [d.step for d in (*self.differences, *([self.inputs] if self.inputs else []))]
        return min(first, default=None)


@dataclass(frozen=True)
class _Step:
    """One step of both."""

    number: int
    parts: tuple[Sequence[OfRank], Sequence[OfRank]]
    weighed: tuple[WeighedStep, WeighedStep]


def compare(a: Recording, b: Recording) -> Comparison:
    """Every step that both have watched, up to the first whose rows differ."""
    steps = tuple(sorted(a.steps.keys() & b.steps.keys()))
    differences: list[Difference] = []
    unknown: list[str] = []
    inputs, moved, farthest = None, False, 0.0
    for number in steps:
        parts = (a.steps[number], b.steps[number])
        if (inputs := _other_rows(number, *parts)) is not None:
            break
        moved |= _places(parts[0]) != _places(parts[1])
        weighed = _weighed((a, b), number, unknown)
        if weighed is not None:
            found, distance = _weights(_Step(number, parts, weighed))
            differences += found
            farthest = max(farthest, distance)
        differences += _rules(a, b, number)
        unknown += _unruled(a, b, number)
    return Comparison(steps, moved, inputs, tuple(differences), tuple(unknown), farthest)


def _weighed(
    both: tuple[Recording, Recording], number: int, unknown: list[str]
) -> tuple[WeighedStep, WeighedStep] | None:
    found = []
    for letter, recording in zip("AB", both, strict=True):
        try:
            found.append(weighing.weigh(recording, number))
        except Unweighable as error:
            unknown.append(f"the weights of step {number} of {letter}: {error}")
    return (found[0], found[1]) if len(found) == len(both) else None


# ---- rows


def _places(parts: Sequence[OfRank]) -> list[list[list[str]]]:
    return [part.line.texts for part in parts]


def _other_rows(number: int, one: Sequence[OfRank], other: Sequence[OfRank]) -> Difference | None:
    rows = [Counter(name for part in parts for names in part.line.texts for name in names) for parts in (one, other)]
    if rows[0] == rows[1]:
        return None
    alone = [sum((rows[i] - rows[1 - i]).values()) for i in (0, 1)]
    message = (
        f"{alone[0]} of the {rows[0].total()} rows of A are not in B, and {alone[1]} of the {rows[1].total()} of B"
    )
    return Difference(number, f"{message} not in A")


def _hashes(parts: Sequence[OfRank]) -> list[str]:
    """By number of text, as `Tokens.text` has them: in the order of ranks, micro-batches and texts."""
    return [name for part in parts for names in part.line.texts for name in names]


# ---- weights


def _weights(step: _Step) -> tuple[list[Difference], float]:
    """Whether each row weighs the same; and how far apart the farthest is, where none is too far."""
    mine, theirs = (_by_row(parts, one) for parts, one in zip(step.parts, step.weighed, strict=True))
    if mine.keys() != theirs.keys() and all(one.labels for one in step.weighed):
        return [Difference(step.number, "other tokens of the same rows are to be trained")], 0.0
    unit = max((abs(v) for each in (*mine.values(), *theirs.values()) for v in each), default=0.0) or 1.0
    allowed = MARGIN * max(one.floor.row + one.solved.norm_error for one in step.weighed)
    apart = {
        row: max(abs(x - y) for x, y in zip(mine[row], theirs[row], strict=True)) / unit
        for row in mine.keys() & theirs.keys()
        if len(mine[row]) == len(theirs[row])
    }
    far = [row for row, distance in apart.items() if distance > allowed]
    if not far and step.weighed[0].right.targets == step.weighed[1].right.targets:
        return [], max(apart.values(), default=0.0)
    return [
        Difference(step.number, _words(step, len({row[:3] for row in far}), len({row[:3] for row in apart}), allowed))
    ], 0.0


def _by_row(parts: Sequence[OfRank], step: WeighedStep) -> dict[Text, list[float]]:
    """Mean weight of the trained tokens of each row, and of the others; of a row that is there twice by size."""
    hashes, tokens = _hashes(parts), step.tokens
    found: dict[Text, list[float]] = {}
    for i, every in enumerate(torch.split(tokens.text.argsort(stable=True), torch.bincount(tokens.text).tolist())):
        own = every[~tokens.any_of(PADDING | CROSSING)[every]]
        trained, known = step.trained[own], tokens.known[own]
        for which, chosen in ((True, trained), (False, ~trained)):
            weights = tokens.weights[own[chosen & known]]
            key = (hashes[i], len(own), int(trained.sum()), which)
            found.setdefault(key, []).append(float(weights.mean()) if len(weights) else 0.0)
    return {key: sorted(values) for key, values in found.items()}


def _words(step: _Step, far: int, rows: int, allowed: float) -> str:
    ways = [_way(one) for one in step.weighed]
    low = [min(sizes) if (sizes := _sizes(one)) else 0.0 for one in step.weighed]
    high = [max(sizes) if (sizes := _sizes(one)) else 0.0 for one in step.weighed]
    said = " and ".join(
        f"{letter} from {a:.4g} to {b:.4g} ({way})" for letter, a, b, way in zip("AB", low, high, ways, strict=True)
    )
    return f"{far} of {rows} rows weigh otherwise: {said}; allowed {allowed:.1g} of the largest"


def _sizes(step: WeighedStep) -> list[float]:
    return [float(w) for w in step.tokens.weights[step.trained & step.tokens.known].abs()]


def _way(step: WeighedStep) -> str:
    if step.residual > weighing.UNEXPLAINED or not step.fit.excess <= 1.0:
        return "by nothing that is known"
    h, limit = step.fit.hypothesis, weighing.limit(step)
    level = step.right.intent.aggregation if h.level == levels.INTENDED else Mean(h.level)
    dropped = f", {len(h.dropped)} micro-batches dropped" if h.dropped else ""
    return f"{told(level)}{dropped}" + ("" if limit is None else f", clipped to {limit:g}")


# ---- the update rule


_CONFIGURED: Mapping[str, Callable[[GroupRule], float | None]] = {
    "learning rate": lambda group: group.configured_rate,
    "weight decay": lambda group: group.configured_decay,
}
"""What has to do where nothing tells the effective one."""
_NUMBERS: Mapping[str, Callable[[GroupRule], float | None]] = {
    "learning rate": lambda group: group.rate,
    "weight decay": lambda group: group.decay,
}


def _rules(a: Recording, b: Recording, number: int) -> list[Difference]:
    mine, theirs = effective.groups(a, number), effective.groups(b, number)
    if [g.parameters for g in mine] != [g.parameters for g in theirs]:
        return [Difference(number, "the parameters are in other groups")]
    result = []
    for what, value in _NUMBERS.items():
        for x, y in zip(mine, theirs, strict=True):
            one, other, how = value(x), value(y), ""
            if one is None or other is None:
                one, other, how = _CONFIGURED[what](x), _CONFIGURED[what](y), "configured "
            if one is not None and other is not None and abs(one - other) > _allowed(what, one, other):
                message = f"the {how}{what} of parameter group {x.group} is {one:.4g} in A and {other:.4g} in B"
                result.append(Difference(number, message))
    return [*result, *_betas(a.steps[number], b.steps[number], number)]


def _unruled(a: Recording, b: Recording, number: int) -> list[str]:
    """Groups of which neither the effective nor the configured rate is told."""
    pairs = zip(effective.groups(a, number), effective.groups(b, number), strict=False)
    return [
        f"the learning rate of parameter group {x.group} in step {number}: A or B does not tell it"
        for x, y in pairs
        if None in (x.rate, y.rate) and None in (x.configured_rate, y.configured_rate)
    ]


def _allowed(what: str, one: float, other: float) -> float:
    return max(NEAR * max(abs(one), abs(other)), effective.DECAY if what == "weight decay" else 0.0)


def _betas(one: Sequence[OfRank], other: Sequence[OfRank], number: int) -> list[Difference]:
    pairs = zip(("beta1", "beta2"), weighing.used_betas(one), weighing.used_betas(other), strict=True)
    return [
        Difference(number, f"{name} is {x:.6g} in A and {y:.6g} in B")
        for name, x, y in pairs
        if abs(x - y) > 2 * weighing.SAME_BETA
    ]
