"""TRL's DPOConfig (trainer/dpo_config.py; the losses are in `_compute_loss` in trainer/dpo_trainer.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.contract import Objective
from harness.translating import sentences
from harness.translating.meaning import Meaning, NoMeaning, Settings, Word
from harness.translating.options import Beside, Options, number
from harness.validation.read.bounded import BadConfiguration

RELEASE = "1.16.0"

BESIDE: Mapping[str, Beside] = {
    "f_divergence_type": Beside(("reverse_kl",), "the difference of log ratios goes through another divergence first"),
    "ld_alpha": Beside((None,), "tokens beyond the shorter answer's length count less"),
    "use_weighting": Beside((False,), "pairs are weighed by how probable they are"),
    "sync_ref_model": Beside((False,), sentences.REFERENCE_MOVES),
    "router_aux_loss_coef": Beside((None, 0, 0.0), "a router's loss is added"),
}

DEFAULTS: Mapping[str, Any] = {
    "loss_type": ["sigmoid"],
    "loss_weights": None,
    "label_smoothing": 0.0,
    "beta": 0.1,
    **{name: one.neutral[0] for name, one in BESIDE.items()},
}
"""Of the options that are read."""

FORMS: Mapping[str, Any] = {"sigmoid": "sigmoid", "sigmoid_norm": "sigmoid-mean", "ipo": "ipo-mean"}
KINDS = {"sigmoid": "sigmoid", "sigmoid-mean": "sigmoid_norm", "ipo": "ipo", "ipo-mean": "ipo"}
OTHERS = (
    *("hinge", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero"),
    *("apo_down", "discopop"),
)
SFT = "sft"
SMOOTHED = "robust, exo_pair, aot and aot_unpaired"


def read(given: Mapping[str, Any], ranks: int | None = None) -> Meaning:
    """Raises BadConfiguration and NoMeaning."""
    options = Options(given, DEFAULTS)
    weights = _weights(options)
    form = next((FORMS[name] for name in weights if name in FORMS), None)
    beta = options.number("beta")
    if form is None or not beta:
        raise NoMeaning(f"loss_type={options.value('loss_type')} with beta={beta:g} is no preference that is held to"
                        " a reference")  # fmt: skip
    sft = weights.get(SFT, 0.0)
    objective = Objective(method="dpo", beta=beta, preference=form, sft_coefficient=sft)
    return Meaning(
        objective, tuple(_words(options, sft)), defaults=options.defaults, unread=options.unread
    )  # fmt: skip


def _weights(options: Options) -> dict[str, float]:
    """What each loss is times. Raises BadConfiguration and NoMeaning."""
    told = options.value("loss_type")
    names = [str(name) for name in (told if isinstance(told, Sequence) and not isinstance(told, str) else [told])]
    if other := next((name for name in names if name in OTHERS), None):
        raise NoMeaning(f"loss_type={other} is no objective that there is a word for: it is another loss of the pair")
    if unknown := next((name for name in names if name not in FORMS and name != SFT), None):
        raise BadConfiguration(f"loss_type is {unknown[:40]!r}, expected of {', '.join([*FORMS, SFT, *OTHERS])}")
    given = options.value("loss_weights")
    values = [1.0] * len(names) if given is None else given
    if not isinstance(values, list) or len(values) != len(names):
        raise BadConfiguration(f"loss_weights is {str(values)[:40]!r}, expected a number for each loss_type")
    weights = dict(zip(names, (number(value, "loss_weights") for value in values), strict=True))
    first = next((weights[name] for name in names if name in FORMS), 1.0)
    if first != 1.0 or len(weights) != len([n for n in names if n in FORMS][:1]) + (SFT in names):
        raise NoMeaning(f"loss_type={names} with loss_weights={values} is a sum of losses that there is no word for")
    return weights


def _words(options: Options, sft: float) -> Iterator[Word]:
    if options.number("label_smoothing"):
        yield options.word("label_smoothing", f"is not read: of what is held to a reference, {SMOOTHED} alone do")
    if sft:
        yield options.word("loss_type", sentences.SFT_OF_TOKENS)
    yield from options.beside(BESIDE)


def write(meaning: Meaning) -> Settings:
    """What is nearest to it."""
    wanted = meaning.objective
    options: dict[str, Any] = {"loss_type": [KINDS[wanted.preference]], "beta": wanted.beta}
    if wanted.sft_coefficient:
        options["loss_type"] = [KINDS[wanted.preference], SFT]
        options["loss_weights"] = [1.0, wanted.sft_coefficient]
    return Settings(options, tuple(_cannot(wanted)))


def _cannot(wanted: Objective) -> Iterator[str]:
    if wanted.preference_smoothing:
        yield f"trl reads label_smoothing with {SMOOTHED} alone since 0.29, so it smooths no preferences"
    if wanted.preference == "ipo":
        yield "trl's ipo is of the mean log ratio of a row's tokens, not of their sum"
    if wanted.reference == "none":
        yield "trl has no reference_free since 0.29: there is always a reference"
