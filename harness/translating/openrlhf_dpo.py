"""OpenRLHF's preferences: cli/train_dpo.py, of which the loss is DPOLoss in models/loss.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.contract import Objective
from harness.translating.meaning import Meaning, NoMeaning, Settings, Word
from harness.translating.options import Options

RELEASE = "0.11.2"

DEFAULTS: Mapping[str, Any] = {
    "model.beta": 0.1,
    "model.ipo_enable": False,
    "model.label_smoothing": 0.0,
    "model.nll_loss_coef": 0.0,
    "model.aux_loss_coef": 0.0,
}
"""Of the options that are read."""


def read(given: Mapping[str, Any], ranks: int | None = None) -> Meaning:
    """Raises BadConfiguration and NoMeaning."""
    options = Options(given, DEFAULTS)
    ipo = options.truth("model.ipo_enable")
    smoothing = options.share("model.label_smoothing")
    if not options.number("model.beta"):
        raise NoMeaning("model.beta=0 is no preference that is held to a reference")
    objective = Objective(
        method="dpo",
        beta=options.number("model.beta"),
        preference="ipo" if ipo else "sigmoid",
        preference_smoothing=0.0 if ipo else smoothing,
        sft_coefficient=options.number("model.nll_loss_coef"),
    )
    return Meaning(objective, tuple(_words(options)), defaults=options.defaults, unread=options.unread)


def _words(options: Options) -> Iterator[Word]:
    if options.truth("model.ipo_enable") and options.number("model.label_smoothing"):
        yield options.word("model.label_smoothing", "is not read with ipo")
    if options.number("model.aux_loss_coef"):
        yield options.word("model.aux_loss_coef", "a router's loss is added")


def write(meaning: Meaning) -> Settings:
    """What is nearest to it."""
    wanted = meaning.objective
    options: dict[str, Any] = {
        "model.beta": wanted.beta,
        "model.label_smoothing": wanted.preference_smoothing,
        "model.nll_loss_coef": wanted.sft_coefficient,
    }
    if wanted.preference.startswith("ipo"):
        options["model.ipo_enable"] = True
    return Settings(options, tuple(_cannot(wanted)))


def _cannot(wanted: Objective) -> Iterator[str]:
    if wanted.preference.endswith("-mean"):
        yield "openrlhf adds up the log ratios of a row, and has no mean of them"
    if wanted.reference == "none":
        yield "openrlhf always has a reference"
