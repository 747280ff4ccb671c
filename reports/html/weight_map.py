"""The weight map of a step: a line for each conversation, a mark for each token, brackets for micro-batch and rank."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from harness.recovered import ConversationWeights, StepWeights
from reports import plain, words

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
    Kind("less3", "\N{MINUS SIGN}", "less than 1/4 of the right weight"),
    Kind("less2", "\N{MINUS SIGN}", "1/4 to 1/2 of the right weight"),
    Kind("less1", "\N{MINUS SIGN}", "1/2 of the right weight, to just under it"),
    Kind("right", "", "the right weight, within the tolerance"),
    Kind("more1", "+", "just over the right weight, to 2 times it"),
    Kind("more2", "+", "2 to 4 times the right weight"),
    Kind("more3", "+", "more than 4 times the right weight"),
    Kind("against", "!", "a negative weight: trained away from"),
    Kind("stray", "\N{BLACK DIAMOND}", "has weight, and should have none"),
    Kind("idle", "\N{MIDDLE DOT}", "no weight, as is right: not of a response"),
    Kind("unseen", "?", "not a finite number"),
)
BY_KEY = {kind.key: kind for kind in KINDS}
_RATIOS = ((0.25, "less3"), (0.5, "less2"), (1.0, "less1"), (2.0, "more1"), (4.0, "more2"))


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
    def trained(self) -> list[float]:
        """Weights x N of the tokens of its response."""
        return [w for w, is_ in zip(self.conversation.weights, self.conversation.trained[1:], strict=False) if is_]

    @property
    def mean(self) -> float | None:
        trained = self.trained
        return sum(trained) / len(trained) if trained else None

    @property
    def spread(self) -> float | None:
        trained = self.trained
        return max(trained) - min(trained) if trained else None

    @property
    def name(self) -> str:
        return "foreign" if self.conversation.row is None else f"row {self.conversation.row}"

    @property
    def wrong(self) -> bool:
        return any(kind not in ("right", "idle") for kind in self.kinds)


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
    def counts(self) -> list[tuple[Kind, int]]:
        """The kinds that there are, and of how many tokens."""
        found = Counter(key for line in self.lines for key in line.kinds)
        return [(kind, found[kind.key]) for kind in KINDS if found[kind.key]]

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
    said = [_said(kind, count, drawn.lines) for kind, count in drawn.counts if kind.key not in ("right", "idle")]
    if not said:
        return f"{should} So it is."
    told = "; ".join(said)
    return f"{should} {told[0].upper()}{told[1:]}."


def _said(kind: Kind, count: int, lines: Sequence[Line]) -> str:
    tokens = f"{count} token{'' if count == 1 else 's'}"
    batches = _whole(kind.key, lines)
    if batches:
        return f"{words.counted('micro-batch', batches)}: {kind.meaning} ({tokens})"
    return f"{tokens}: {kind.meaning}"


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
    return {i: plain.line(vocabulary[i], LONGEST_WORD) for i in sorted(ids) if 0 <= i < len(vocabulary)}


def _line(line: Line) -> dict[str, Any]:
    said = line.conversation
    return {
        "micro": said.micro_batch,
        "rank": said.rank,
        "row": line.name,
        "top": round(line.top, 3),
        "right": line.right if math.isfinite(line.right) else None,
        "mean": _shown(line.mean),
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
