"""What a framework's options mean: an objective, and what the objective has no word for, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.contract import Objective

OF_DPO = ("preference", "preference_smoothing")
OF_GRPO = (
    *("group_size", "advantage", "normaliser", "normaliser_constant", "ratio", "clip_low", "clip_high"),
    *("rollout_steps", "truncated", "divergence", "demonstrations", "shaping"),
)


class NoMeaning(Exception):
    """No objective is near what options say; one line with the option and why."""


@dataclass(frozen=True)
class Word:
    """What an option does that the objective has no word for."""

    option: str
    """As it is written, with its value."""
    sentence: str
    """The same wherever it is the same, whatever the option is called."""


@dataclass(frozen=True)
class Sizes:
    """How many completions are trained at once."""

    rows: int
    """Of an optimizer step, on all ranks."""
    micro_batch: int | None = None
    """Of a forward pass of one rank; None where tokens say it."""
    passes: int = 1
    """How often what was sampled is gone through."""
    ranks: int = 1


@dataclass(frozen=True)
class Meaning:
    """All that options say."""

    objective: Objective
    """Without rewards: those are data."""
    words: tuple[Word, ...] = ()
    sizes: Sizes | None = None
    """Of `grpo`."""
    dual_clip: float | None = None
    """Where the advantage is below 0, a ratio above it does not count (Ye and others 2020, arXiv 1912.09729)."""
    temperature: float = 1.0
    """What logits are divided by, in training too."""
    entropy: float = 0.0
    """What the mean entropy of tokens is times, before it is added to the objective."""
    alone: bool = False
    """Whether the sizes are of one rank as nobody says how many there are."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Options that were not given, as the framework has them then."""
    unread: tuple[str, ...] = ()
    """Options of which nothing is said."""


@dataclass(frozen=True)
class Settings:
    """An objective as options."""

    options: Mapping[str, Any]
    cannot: tuple[str, ...] = ()
    """What no option says, a sentence each; the options say what is nearest."""


def canonical(objective: Objective) -> Objective:
    """The same with every field that does not count in it at its default, and without rewards."""
    drop = ["rewards", *(OF_DPO if objective.method == "grpo" else OF_GRPO)]
    if objective.method == "grpo" and not objective.beta:
        drop += ["divergence", "reference"]
    if objective.method == "grpo" and not objective.demonstrations:
        drop += ["shaping", "sft_coefficient"]
    if objective.normaliser != "constant":
        drop.append("normaliser_constant")
    return replace(objective, **{name: getattr(Objective, name) for name in drop})


def unsaid(name: str, wanted: Objective) -> Iterator[str]:
    """What of `grpo` no framework has an option for."""
    if wanted.demonstrations:
        yield f"{name} has no option for demonstrations among what was sampled"
    if wanted.beta and wanted.reference == "none":
        yield f"{name} has no KL term without a reference"


def remaining(source: Meaning, settings: Settings, target: Meaning) -> Iterator[str]:
    """What is different between the source and what the settings mean, a line each."""
    yield from settings.cannot
    for name, what in _NUMBERS.items():
        own, other = getattr(source, name), getattr(target, name)
        if own != other:
            yield f"{what} {_number(own)} in the source and {_number(other)} in the target"
    for who, own, others in (("source", source, target), ("target", target, source)):
        known = {word.sentence for word in others.words}
        yield from (f"{who}: {word.option}: {word.sentence}" for word in own.words if word.sentence not in known)


_NUMBERS = {
    "dual_clip": "where the advantage is below 0 the ratio is clipped at",
    "temperature": "the temperature is",
    "entropy": "the coefficient of the entropy is",
}


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:g}"
