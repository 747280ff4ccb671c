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
    """Options survive their own format, what can be said is read back whole, and what cannot is read all the same."""
    settings = dialect.write(meaning)
    assert parsed(source.rendered(settings.options, dialect.layout), dialect) == dict(settings.options)
    back = dialect.read(settings.options, meaning.sizes.ranks if meaning.sizes else None)
    if settings.cannot:
        return
    assert replace(back, words=(), defaults={}) == meaning
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


def test_something_of_the_catalogue_is_said_by_each() -> None:
    for dialect in dialects.DIALECTS:
        meanings = [table.meaning(scenarios.get(name)) for name in OBJECTIVES]
        own = [one for one in meanings if one.objective.method == dialect.method]
        assert sum(not dialect.write(one).cannot for one in own) >= 3


TRL, VERL, ORLHF = (dialects.find(name, "grpo") for name in ("trl", "verl", "openrlhf"))
TRL_DPO, FACTORY, ORLHF_DPO = (dialects.find(name, "dpo") for name in ("trl", "llamafactory", "openrlhf"))
ACTOR = "actor_rollout_ref.actor"
MODE = f"{ACTOR}.loss_agg_mode"
GRPO = {"algorithm.adv_estimator": "grpo", "actor_rollout_ref.rollout.n": 8}
GROUPS = {"algo.advantage.estimator": "group_norm", "rollout.n_samples_per_prompt": 4}


@pytest.mark.parametrize(
    ("dialect", "options", "said"),
    [
        (TRL, {"loss_type": "bnpo"}, "the mean of micro-batches' means"),
        (TRL, {"scale_rewards": "batch"}, "over the deviation of all rewards"),
        (TRL, {}, "1e-4 is added"),
        (TRL, {"beta": 0.1, "num_iterations": 2}, "times the ratio"),
        (TRL, {"steps_per_generation": 4}, "the mean of all steps of the sampling"),
        (TRL, {"use_vllm": True}, "inference engine"),
        (TRL, {"entropy_coef": 0.1, "use_adaptive_entropy": True}, "is moved as the entropy changes"),
        (TRL, {"loss_type": "dr_grpo"}, "what generation stops at"),
        (VERL, GRPO, "1e-6 is added"),
        (VERL, {**GRPO, MODE: "seq-mean-token-sum-norm"}, "longest one"),
        (VERL, {**GRPO, f"{ACTOR}.clip_ratio": 0.1}, "is not read"),
        (TRL, {"entropy_coef": 0.1}, "over a micro-batch's tokens"),
        (VERL, {**GRPO, f"{ACTOR}.entropy_coeff": 0.1}, "over the step's tokens"),
        (VERL, {**GRPO, f"{ACTOR}.entropy_coeff": 0.1, MODE: "seq-mean-token-mean"}, "over each completion"),
        (VERL, {**GRPO, f"{ACTOR}.entropy_coeff": 0.1, MODE: "seq-mean-token-sum"}, "divided by a constant"),
        (ORLHF, {**GROUPS, "actor.entropy_coef": 0.1}, "over the step's tokens"),
        (VERL, {**GRPO, "algorithm.use_kl_in_reward": True}, "taken off the rewards"),
        (ORLHF, {"algo.advantage.estimator": "rloo", "rollout.n_samples_per_prompt": 4}, "other completions"),
        (ORLHF, GROUPS, "1e-9 is added"),
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
        (VERL, {**GRPO, MODE: "token-sum"}, "nothing divides"),
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
        (
            TRL_DPO,
            {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, -5]},
            "loss_weights is -5, expected 0 or more",
        ),
        (TRL_DPO, {"loss_type": ["nonsense"]}, "expected of sigmoid"),
        (TRL, {"temperature": 0}, "expected above 0"),
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
    target = TRL.read(settings.options, None)
    assert not list(remaining(meaning, settings, target))
    other = replace(target, dual_clip=3.0, temperature=0.6, entropy=0.0, words=())
    assert list(remaining(meaning, settings, other)) == [
        "where the advantage is below 0 the ratio is clipped at nothing in the source and 3 in the target",
        "the temperature is 1 in the source and 0.6 in the target",
        "the coefficient of the entropy is 0.1 in the source and 0 in the target",
        "source: entropy_coef=0.1: the entropy is averaged over a micro-batch's tokens, and then over micro-batches",
    ]


def test_temperature_and_entropy_are_carried() -> None:
    assert TRL is not None
    assert VERL is not None
    assert ORLHF is not None
    meaning = VERL.read({**GRPO, "actor_rollout_ref.rollout.temperature": 0.6, f"{ACTOR}.entropy_coeff": 0.01}, None)
    in_trl, in_openrlhf = TRL.write(meaning), ORLHF.write(meaning)
    assert (in_trl.options["temperature"], in_trl.options["entropy_coef"]) == (0.6, 0.01)
    assert in_openrlhf.options["actor.entropy_coef"] == 0.01
    assert in_openrlhf.options["rollout.temperature"] == 0.6
    told = list(remaining(meaning, in_openrlhf, ORLHF.read(in_openrlhf.options, None)))
    assert not [line for line in told if "entropy" in line]


def test_a_sum_of_tokens_is_trls_luspo() -> None:
    assert TRL is not None
    assert VERL is not None
    options = TRL.write(VERL.read({**GRPO, MODE: "seq-mean-token-sum"}, None)).options
    assert options["loss_type"] == "luspo"
    assert "max_completion_length" not in options


def test_verls_ratio_of_completions_is_averaged_as_it_is_told() -> None:
    """`compute_policy_loss_gspo` of 0.9.1; up to 0.7.1 it averaged over each completion, whatever was told."""
    assert VERL is not None
    gspo = {**GRPO, f"{ACTOR}.policy_loss.loss_mode": "gspo"}
    modes = {"token-mean": "token", "seq-mean-token-mean": "row", "seq-mean-token-sum-norm": "constant"}
    assert {mode: VERL.read({**gspo, MODE: mode}, None).objective.normaliser for mode in modes} == modes


def test_verls_own_names_are_read() -> None:
    assert VERL is not None
    known = VERL.read(GRPO, None).objective
    for name in ("grpo_vectorized", "AdvantageEstimator.GRPO_VECTORIZED"):
        assert VERL.read({**GRPO, "algorithm.adv_estimator": name}, None).objective == known
    told = VERL.read({**GRPO, f"{ACTOR}.clip_ratio": 0.1, f"{ACTOR}.clip_ratio_low": None}, None)
    assert (told.objective.clip_low, told.objective.clip_high) == (0.1, 0.2)
    assert not [word for word in told.words if "clip_ratio" in word.option]


def test_ranks_that_nobody_says_are_one() -> None:
    for dialect, options in ((TRL, {}), (VERL, GRPO), (ORLHF, GROUPS)):
        assert dialect is not None
        assert dialect.read(options, None).alone == (dialect is not VERL)
        assert not dialect.read(options, 8).alone


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
