"""The weight map of a step: a line for each conversation, a mark for each token, brackets for micro-batch and rank."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

from harness import printable
from harness.traces.recovered_numbers import ConversationWeights, StepWeights
from reports import words

BETWEEN_RANKS, BETWEEN_MICRO_BATCHES = 0.15, 0.6
"""In heights of a line."""
LONGEST_WORD = 40


@dataclass(frozen=True)
class Kind:
    """How a token's weight stands to the right one."""

    key: str
    mark: str
    """What stands in its square, so that nothing is said by colour alone."""
    meaning: str


KINDS: tuple[Kind, ...] = (
    Kind("lost", "\N{MULTIPLICATION SIGN}", "no weight at all, and should have"),
    Kind("less3", "\N{MINUS SIGN}", "less than 0.3 of the right weight"),
    Kind("less2", "\N{MINUS SIGN}", "0.3 to 0.6 of the right weight"),
    Kind("less1", "\N{MINUS SIGN}", "0.6 to nearly all of the right weight"),
    Kind("right", "", "the right weight, within the tolerance"),
    Kind("more1", "+", "up to 1.6 times the right weight"),
    Kind("more2", "+", "1.6 to 3.5 times the right weight"),
    Kind("more3", "+", "more than 3.5 times the right weight"),
    Kind("against", "!", "a negative weight: trained away from"),
    Kind("stray", "\N{BLACK DIAMOND}", "has weight, and should have none"),
    Kind("idle", "\N{MIDDLE DOT}", "no weight, as is right: not of a response"),
    Kind("unseen", "?", "cannot be told: a gradient that is too short, or not a finite number"),
)
BY_KEY = {kind.key: kind for kind in KINDS}
_RATIOS = ((0.3, "less3"), (0.6, "less2"), (1.0, "less1"), (1.6, "more1"), (3.5, "more2"))
"""Bounds. No factor that steps are scaled by in practice, 1/8 to 1/2 and 2 to 8, lies at one: there rounding alone
would tell tokens apart that weigh the same."""
_SCALED = frozenset({"less3", "less2", "less1", "more1", "more2", "more3"})
LARGEST_PART = 64
"""Of a ratio that is told as a fraction."""


@dataclass(frozen=True)
class Counted:
    """The tokens of one kind on a map."""

    kind: Kind
    tokens: int
    meaning: str
    """The kind's, or what they all weigh where that is the same share of the right weight."""


@dataclass(frozen=True)
class Band:
    """A bracket beside some lines."""

    label: str
    top: float
    bottom: float


@dataclass(frozen=True)
class Line:
    """A conversation as it was trained on."""

    conversation: ConversationWeights
    kinds: tuple[str, ...]
    """For each token but the first."""
    top: float
    right: float
    """What each trained token should weigh, x N."""

    @property
    def spread(self) -> float | None:
        trained = self.conversation.of_response
        return max(trained) - min(trained) if trained else None

    @property
    def name(self) -> str:
        return "foreign" if self.conversation.row is None else f"row {self.conversation.row}"

    @property
    def wrong(self) -> bool:
        return any(kind not in ("right", "idle", "unseen") for kind in self.kinds)


@dataclass(frozen=True)
class WeightMap:
    """What is drawn of one step."""

    step: StepWeights
    lines: tuple[Line, ...]
    micro_batches: tuple[Band, ...]
    ranks: tuple[Band, ...]
    height: float
    """In heights of a line."""

    @property
    def counts(self) -> list[Counted]:
        """The kinds that there are, and of how many tokens."""
        ratios: dict[str, list[float]] = {}
        for line in self.lines:
            for key, weight in zip(line.kinds, line.conversation.weights, strict=False):
                ratios.setdefault(key, []).append(weight / line.right if line.right else math.nan)
        allowed = self.step.tolerance / self.step.right if self.step.right else 0.0
        return [Counted(k, len(own), _meaning(k, own, allowed)) for k in KINDS if (own := ratios.get(k.key))]

    @property
    def wrong(self) -> bool:
        return any(line.wrong for line in self.lines)


def kind(weight: float, right: float, tolerance: float) -> str:
    """The key of the kind of a token; all x N, `right` being 0 for one that is not to be trained."""
    if not math.isfinite(weight):
        return "unseen"
    if abs(weight - right) <= tolerance:
        return "right" if right else "idle"
    if not right:
        return "stray"
    if abs(weight) <= tolerance:
        return "lost"
    if weight < 0:
        return "against"
    return next((key for limit, key in _RATIOS if weight / right < limit), "more3")


def _meaning(kind: Kind, ratios: Sequence[float], allowed: float) -> str:
    """What tokens have whose weights are these shares of the right one; how far a share may be off is `allowed`."""
    if kind.key not in _SCALED or not max(ratios) - min(ratios) <= 2 * allowed:
        return kind.meaning
    share = min(ratios) + (max(ratios) - min(ratios)) / 2
    near = Fraction(share).limit_denominator(LARGEST_PART)
    told = str(near) if abs(near - share) <= allowed and 1 in near.as_integer_ratio() else f"{share:.4g}"
    return f"{told} of the right weight" if share < 1 else f"{told} times the right weight"


def draw(step: StepWeights) -> WeightMap:
    """Lay out a step: micro-batches one below the other, in each the ranks, in each its conversations in order."""
    lines: list[Line] = []
    micro_batches: list[Band] = []
    ranks: list[Band] = []
    top = 0.0
    ordered = sorted(step.conversations, key=lambda c: (c.micro_batch, c.rank))
    for micro_batch, batch in groupby(ordered, key=lambda c: c.micro_batch):
        first = top
        for rank, own in groupby(batch, key=lambda c: c.rank):
            start = top
            for conversation in own:
                lines.append(Line(conversation, _kinds(conversation, step), top, step.right))
                top += 1
            ranks.append(Band(f"rank {rank}", start, top))
            top += BETWEEN_RANKS
        top -= BETWEEN_RANKS
        micro_batches.append(Band(f"micro-batch {micro_batch}", first, top))
        top += BETWEEN_MICRO_BATCHES
    return WeightMap(step, tuple(lines), tuple(micro_batches), tuple(ranks), max(0.0, top - BETWEEN_MICRO_BATCHES))


def _kinds(conversation: ConversationWeights, step: StepWeights) -> tuple[str, ...]:
    pairs = zip(conversation.weights, conversation.trained[1:], strict=False)
    return tuple(kind(weight, step.right if trained else 0.0, step.tolerance) for weight, trained in pairs)


# ---- in words


def sentence(drawn: WeightMap) -> str:
    """What is to be seen on the map."""
    step = drawn.step
    should = f"{step.targets} tokens should weigh {step.right:.4g} each (x N), and no other token anything."
    said = [part for one in drawn.counts if one.kind.key not in ("right", "idle") for part in _said(one, drawn.lines)]
    if not said:
        return f"{should} So it is."
    told = "; ".join(said)
    return f"{should} {told[0].upper()}{told[1:]}."


def _said(counted: Counted, lines: Sequence[Line]) -> Iterator[str]:
    """Micro-batches of which it is true as a whole, and the tokens elsewhere."""
    batches = _whole(counted.kind.key, lines)
    whole = sum(line.kinds.count(counted.kind.key) for line in lines if line.conversation.micro_batch in batches)
    if batches:
        yield f"{words.counted('micro-batch', batches)}: {counted.meaning} ({_tokens(whole)})"
    if rest := counted.tokens - whole:
        yield f"{_tokens(rest)}{' elsewhere' if batches else ''}: {counted.meaning}"


def _tokens(count: int) -> str:
    return f"{count} token{'' if count == 1 else 's'}"


def _whole(key: str, lines: Iterable[Line]) -> list[int]:
    """Micro-batches whose trained tokens are all of this kind."""
    kinds: dict[int, set[str]] = {}
    for line in lines:
        kinds.setdefault(line.conversation.micro_batch, set()).update(k for k in line.kinds if k != "idle")
    return [batch for batch, found in kinds.items() if found == {key}]


# ---- for the chart


def data(drawn: WeightMap, vocabulary: Sequence[str]) -> dict[str, Any]:
    """The map as JSON: a list of tokens for each line, which the page takes apart into marks."""
    return {
        "lines": [_line(line) for line in drawn.lines],
        "words": _words(drawn, vocabulary),
        "brackets": [
            *(_band(band, "micro-batch") for band in drawn.micro_batches),
            *(_band(band, "rank") for band in drawn.ranks),
        ],
    }


def _words(drawn: WeightMap, vocabulary: Sequence[str]) -> dict[int, str]:
    """By token id; an id beyond the vocabulary has none."""
    ids = {i for line in drawn.lines for i in line.conversation.ids[1:]}
    return {i: printable.line(vocabulary[i], LONGEST_WORD) for i in sorted(ids) if 0 <= i < len(vocabulary)}


def _line(line: Line) -> dict[str, Any]:
    said = line.conversation
    return {
        "micro": said.micro_batch,
        "rank": said.rank,
        "row": line.name,
        "top": round(line.top, 3),
        "right": line.right if math.isfinite(line.right) else None,
        "mean": _shown(line.conversation.mean),
        "wrong": line.wrong,
        "ids": said.ids[1:],
        "trained": [int(t) for t in said.trained[1:]],
        "kinds": line.kinds,
        "weights": [float(f"{w:.6g}") if math.isfinite(w) else str(w) for w in said.weights],
    }


def _shown(mean: float | None) -> str:
    return "" if mean is None else f"{round(mean, 4) + 0.0:.4f}"  # + 0.0: no minus zero


def _band(band: Band, level: str) -> dict[str, Any]:
    return {"level": level, "label": band.label, "top": round(band.top, 3), "bottom": round(band.bottom, 3)}
