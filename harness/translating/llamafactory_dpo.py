"""LLaMA-Factory's `stage: dpo` (hparams/finetuning_args.py; the losses are in train/dpo/trainer.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.contract import Objective
from harness.translating.meaning import Meaning, NoMeaning, Settings, Word
from harness.translating.options import Beside, Options

RELEASE = "0.9.5"

BESIDE: Mapping[str, Beside] = {
    "pref_bco_weight": Beside((0, 0.0), "a classifier's loss (BCO) is mixed in"),
    "ld_alpha": Beside((None,), "tokens beyond the shorter answer's length count less"),
}

DEFAULTS: Mapping[str, Any] = {
    "stage": "dpo",
    "pref_beta": 0.1,
    "pref_loss": "sigmoid",
    "pref_ftx": 0.0,
    "dpo_label_smoothing": 0.0,
    **{name: one.neutral[0] for name, one in BESIDE.items()},
}
"""Of the options that are read."""

FORMS = {"sigmoid": "sigmoid", "ipo": "ipo-mean"}
KINDS = {"sigmoid": "sigmoid", "sigmoid-mean": "sigmoid", "ipo": "ipo", "ipo-mean": "ipo"}
OTHERS = {
    "hinge": "it is another loss of the pair",
    "kto_pair": "it is another loss of the pair",
    "orpo": "it has no reference",
    "simpo": "it has no reference, and a margin",
}
UNASKED = "with TRL since 0.20 it is the sigmoid of those means all the same: it hands dpo_loss no loss_type"


def read(given: Mapping[str, Any], ranks: int | None = None) -> Meaning:
    """Raises BadConfiguration and NoMeaning."""
    options = Options(given, DEFAULTS)
    options.choice("stage", {"dpo": "dpo"}, dict.fromkeys(("sft", "pt", "rm", "ppo", "kto"), "it is no stage of pairs"))
    form = options.choice("pref_loss", FORMS, OTHERS)
    smoothing = options.share("dpo_label_smoothing")
    if smoothing and form != "sigmoid":
        raise NoMeaning("dpo_label_smoothing is refused by llamafactory beside another pref_loss than sigmoid")
    if not options.number("pref_beta"):
        raise NoMeaning("pref_beta=0 is no preference that is held to a reference")
    objective = Objective(
        method="dpo",
        beta=options.number("pref_beta"),
        preference=form,
        preference_smoothing=smoothing if form == "sigmoid" else 0.0,
        sft_coefficient=options.number("pref_ftx"),
    )
    return Meaning(objective, tuple(_words(options)), defaults=options.defaults, unread=options.unread)


def _words(options: Options) -> Iterator[Word]:
    if options.value("pref_loss") == "ipo":
        yield options.word("pref_loss", UNASKED)
    yield from options.beside(BESIDE)


def write(meaning: Meaning) -> Settings:
    """What is nearest to it."""
    wanted = meaning.objective
    options = {
        "stage": "dpo",
        "pref_loss": KINDS[wanted.preference],
        "pref_beta": wanted.beta,
        "pref_ftx": wanted.sft_coefficient,
        "dpo_label_smoothing": wanted.preference_smoothing,
    }
    return Settings(options, tuple(_cannot(wanted)))


def _cannot(wanted: Objective) -> Iterator[str]:
    if wanted.preference == "sigmoid-mean":
        yield "llamafactory's sigmoid is of the sum of a row's log ratios, not of their mean"
    if wanted.preference == "ipo":
        yield "llamafactory's ipo is of the mean log ratio of a row's tokens, not of their sum"
    if wanted.reference == "none":
        yield "llamafactory has a reference in each of its losses that have a beta"
