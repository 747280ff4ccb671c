"""What is written is read back as it was meant, by every dialect that can say it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings

import scenarios
from adapters.contract import Objective
from harness.translating import dialects, source, table
from harness.translating.dialects import Dialect
from harness.translating.meaning import Meaning, NoMeaning, canonical, remaining
from harness.validation.read.bounded import BadConfiguration
from tests.harness.translating import drawn

OBJECTIVES = [name for name in scenarios.CATALOGUE if scenarios.get(name).objective.method != "sft"]
EACH = pytest.mark.parametrize("dialect", dialects.DIALECTS, ids=lambda d: f"{d.framework}-{d.method}")


def parsed(text: str, dialect: Dialect) -> dict[str, object]:
    return dict(yaml.safe_load(text) if dialect.layout == "yaml" else source.parsed(text, "options"))


def law(dialect: Dialect, meaning: Meaning) -> None:
    """Options survive their own format, and what can be said is read back whole."""
    settings = dialect.write(meaning)
    assert parsed(source.rendered(settings.options, dialect.layout), dialect) == dict(settings.options)
    ranks = meaning.sizes.ranks if meaning.sizes else None
    if settings.cannot:
        return
    back = dialect.read(settings.options, ranks)
    assert (back.objective, back.sizes, back.dual_clip) == (meaning.objective, meaning.sizes, meaning.dual_clip)
    assert not back.unread
    assert dialect.write(back).options == settings.options


@EACH
@pytest.mark.parametrize("name", OBJECTIVES)
def test_of_the_catalogue(name: str, dialect: Dialect) -> None:
    meaning = table.meaning(scenarios.get(name))
    if meaning.objective.method == dialect.method:
        law(dialect, meaning)


@settings(max_examples=40)
@given(drawn.meanings())
def test_of_rewards(meaning: Meaning) -> None:
    for dialect in dialects.DIALECTS:
        if dialect.method == "grpo":
            law(dialect, meaning)


@settings(max_examples=40)
@given(drawn.preferences)
def test_of_preferences(objective: Objective) -> None:
    for dialect in dialects.DIALECTS:
        if dialect.method == "dpo":
            law(dialect, Meaning(canonical(objective)))


@settings(max_examples=40)
@given(drawn.meanings())
def test_what_cannot_be_said_can_be_read_all_the_same(meaning: Meaning) -> None:
    for dialect in dialects.DIALECTS:
        if dialect.method == "grpo":
            settings = dialect.write(meaning)
            unlike = meaning.objective.group_size == 1 and dialect.framework != "verl"
            if settings.cannot and not unlike:
                dialect.read(settings.options, meaning.sizes.ranks if meaning.sizes else None)


def test_something_of_the_catalogue_is_said_by_each() -> None:
    for dialect in dialects.DIALECTS:
        meanings = [table.meaning(scenarios.get(name)) for name in OBJECTIVES]
        own = [one for one in meanings if one.objective.method == dialect.method]
        assert sum(not dialect.write(one).cannot for one in own) >= 3


TRL, VERL, ORLHF = (dialects.find(name, "grpo") for name in ("trl", "verl", "openrlhf"))
TRL_DPO, FACTORY, ORLHF_DPO = (dialects.find(name, "dpo") for name in ("trl", "llamafactory", "openrlhf"))
ACTOR = "actor_rollout_ref.actor"
GRPO = {"algorithm.adv_estimator": "grpo", "actor_rollout_ref.rollout.n": 8}


@pytest.mark.parametrize(
    ("dialect", "options", "said"),
    [
        (TRL, {"loss_type": "bnpo"}, "the mean of micro-batches' means"),
        (TRL, {"scale_rewards": "batch"}, "over the deviation of all rewards"),
        (TRL, {}, "1e-4 is added"),
        (TRL, {"beta": 0.1, "num_iterations": 2}, "times the ratio"),
        (TRL, {"steps_per_generation": 4}, "the mean of all steps of the sampling"),
        (TRL, {"use_vllm": True}, "inference engine"),
        (TRL, {"temperature": 0.9}, "at that temperature"),
        (TRL, {"loss_type": "dr_grpo"}, "what generation stops at"),
        (VERL, GRPO, "1e-6 is added"),
        (VERL, {**GRPO, f"{ACTOR}.loss_agg_mode": "seq-mean-token-sum-norm"}, "longest one"),
        (VERL, {**GRPO, f"{ACTOR}.clip_ratio": 0.1}, "is not read"),
        (VERL, {**GRPO, "algorithm.use_kl_in_reward": True}, "taken off the rewards"),
        (ORLHF, {"algo.advantage.estimator": "rloo", "rollout.n_samples_per_prompt": 4}, "other completions"),
        (ORLHF, {"algo.advantage.estimator": "group_norm", "rollout.n_samples_per_prompt": 4}, "1e-9 is added"),
        (TRL_DPO, {"label_smoothing": 0.1}, "is not read"),
        (TRL_DPO, {"loss_type": ["sigmoid", "sft"]}, "tokens of a micro-batch"),
        (FACTORY, {"pref_loss": "ipo"}, "no loss_type"),
        (ORLHF_DPO, {"model.aux_loss_coef": 0.1}, "router"),
    ],
)
def test_what_the_objective_has_no_word_for(dialect: Dialect, options: dict[str, object], said: str) -> None:
    words = dialect.read(options, None).words
    assert any(said in word.sentence for word in words), words


@pytest.mark.parametrize(
    ("dialect", "options", "said"),
    [
        (TRL, {"loss_type": "sapo"}, "no objective that there is a word for"),
        (TRL, {"steps_per_generation": 3, "gradient_accumulation_steps": 2}, "a part of one"),
        (VERL, {}, "it has a critic"),
        (VERL, {**GRPO, "data.train_batch_size": 100}, "no whole number"),
        (ORLHF, {}, "it has a critic"),
        (TRL_DPO, {"loss_type": "hinge"}, "another loss of the pair"),
        (TRL_DPO, {"loss_type": "sft"}, "no preference"),
        (TRL_DPO, {"loss_type": ["sigmoid", "ipo"]}, "a sum of losses"),
        (FACTORY, {"pref_loss": "orpo"}, "no reference"),
        (FACTORY, {"stage": "sft"}, "no stage of pairs"),
    ],
)
def test_what_has_no_meaning(dialect: Dialect, options: dict[str, object], said: str) -> None:
    with pytest.raises(NoMeaning, match=said):
        dialect.read(options, None)


@pytest.mark.parametrize(
    ("dialect", "options", "said"),
    [
        (TRL, {"loss_type": "other"}, "expected one of dapo"),
        (TRL, {"epsilon": "wide"}, "expected a number"),
        (TRL, {"epsilon": 2}, "expected above 0 to 1"),
        (TRL, {"num_generations": 1}, "a whole number of 2 or more"),
        (TRL, {"beta": -1}, "0 or more"),
        (ORLHF, {"algo.advantage.estimator": "dr_grpo", "actor.eps_clip_low_high": 0.2}, "two numbers"),
        (TRL_DPO, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1]}, "a number for each loss_type"),
        (TRL_DPO, {"loss_type": ["nonsense"]}, "expected of sigmoid"),
        (FACTORY, {"dpo_label_smoothing": 0.7}, "less than 0.5"),
    ],
)
def test_wrong_values_are_one_line(dialect: Dialect, options: dict[str, object], said: str) -> None:
    with pytest.raises(BadConfiguration, match=said) as told:
        dialect.read(options, None)
    assert "\n" not in str(told.value)


def test_what_is_alike_in_both_does_not_remain() -> None:
    assert TRL is not None
    meaning = TRL.read({"entropy_coef": 0.1, "scale_rewards": "none"}, None)
    settings = TRL.write(meaning)
    target = replace(TRL.read(settings.options, None), words=meaning.words)
    assert not list(remaining(meaning, settings, target))
    assert list(remaining(meaning, settings, replace(target, dual_clip=3.0, words=()))) == [
        "ratios where the advantage is below 0 are clipped at nothing in the source and at 3 in the target",
        "source: entropy_coef=0.1: the tokens' entropy is added to the objective",
    ]


def test_verls_second_clip_is_trls_delta() -> None:
    assert TRL is not None
    assert VERL is not None
    meaning = VERL.read(GRPO, None)
    assert meaning.dual_clip == 3.0
    assert TRL.write(meaning).options["delta"] == 3.0


def test_defaults_and_what_is_not_read_are_told() -> None:
    assert TRL is not None
    meaning = TRL.read({"beta": 0.1, "learning_rate": 1e-6}, None)
    assert meaning.unread == ("learning_rate",)
    assert meaning.defaults["loss_type"] == "dapo"
    assert "beta" not in meaning.defaults
