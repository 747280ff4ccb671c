"""The effective step of each family of configurations, and who decides what where two of them say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import scenarios
from adapters.contract import Schedule
from harness.intent.intent import Mean
from harness.intent.of_scenario import of_scenario
from harness.validation import plan, reading
from harness.validation.known import releases
from harness.validation.read.bounded import BadConfiguration
from harness.validation.step import effective, schedules
from tests.harness.validation import written
from tests.harness.validation.written import part, row


def test_llamafactory(tmp_path: Path) -> None:
    told = written.factory(tmp_path, rows=1600)
    assert told.release is not None
    assert told.release.startswith("llamafactory 0.9")
    assert part(told, "global batch").configured == "2 a micro-batch x 4 accumulated x 2 ranks = 16 sequences"
    assert part(told, "length").configured == "3 epochs = 300 steps"
    assert part(told, "trained").configured == "the responses"
    assert part(told, "clipping").by == f"the default of {told.release}"
    rates = {rate.at: rate.rate for rate in told.rates}
    assert rates["step 0"] == 0.0
    assert rates["step 1"] == pytest.approx(2e-5 / 30)
    assert rates["step 30"] == 2e-5
    assert rates["step 165"] == pytest.approx(1e-5)
    assert part(told, "dtypes").configured == "computed in bf16, weights fp32"


@pytest.mark.parametrize(
    ("changed", "what", "said"),
    [
        ({"train_on_prompt": True}, "trained", "all tokens, prompts too"),
        ({"mask_history": True}, "trained", "the last response of each row"),
        ({"pure_bf16": True}, "dtypes", "computed in bf16, weights bf16, without fp32 copies"),
        ({"max_steps": 7}, "length", "7 steps"),
        ({"max_grad_norm": 0}, "clipping", "none"),
        ({"use_dft_loss": True}, "token loss", "times the target's own probability (DFT)"),
        ({"lr_scheduler_type": "constant"}, "schedule", "constant"),
        ({"weight_decay": 0.1}, "decay", "0.1 of matrices, none of norms and biases"),
        ({"optim": "sgd"}, "optimizer", "sgd, momentum 0"),
        ({"loraplus_lr_ratio": 16}, "learning rate", "2e-05, times 16 of *lora_B*"),
    ],
)
def test_one_key_changes_one_thing(tmp_path: Path, changed: dict[str, Any], what: str, said: str) -> None:
    before = {one.what: one.configured for one in written.factory(tmp_path).step}
    after = {one.what: one.configured for one in written.factory(tmp_path, **changed).step}
    assert after[what] == said
    assert {key for key in after if after[key] != before.get(key)} == {what}


def test_a_warmup_that_is_longer_than_the_training_is_told(tmp_path: Path) -> None:
    assert written.factory(tmp_path, warmup_ratio=None, warmup_steps=300, max_steps=200).odd == [
        "the warm-up has 300 steps and the training 200: the rate never falls"
    ]
    assert not written.factory(tmp_path, warmup_ratio=None, warmup_steps=100, max_steps=200).odd


def test_an_override_wins_and_says_over_what(tmp_path: Path) -> None:
    place = written.file(tmp_path, "sft.yaml", written.FACTORY)
    told = written.of(str(place), "learning_rate=3e-5")
    assert part(told, "learning rate").configured == "3e-05"
    assert part(told, "learning rate").by == "learning_rate on the command line"
    assert row(told, "learning_rate").why == "instead of 2e-05 in sft.yaml"
    assert len([one for one in told.ledger if one.key == "learning_rate"]) == 1


# ---- the others


def test_trl(tmp_path: Path) -> None:
    told = written.of(str(written.file(tmp_path, "sft.yaml", written.TRL)))
    assert part(told, "trained").configured == "all tokens, prompts too"
    assert part(told, "schedule").configured == "a warm-up of 100 steps from 0, half a cosine to 10 %"
    assert {rate.at: rate.rate for rate in told.rates}["step 999"] == pytest.approx(1e-6, rel=1e-4)
    assert row(told, "optim").to == "adamw_torch"
    assert row(told, "gradient_accumulation_steps").to == "8"
    assert row(told, "per_device_train_batch_size").word == "kept"
    answers = written.of(str(written.file(tmp_path, "a.yaml", {**written.TRL, "assistant_only_loss": True})))
    assert part(answers, "trained").configured == "the responses"


@pytest.mark.parametrize(
    ("version", "said"), [("0.18.1", "a mean over the ranks"), ("1.16.0", "a mean over the tokens")]
)
def test_ranks_that_average_by_themselves_by_default(tmp_path: Path, version: str, said: str) -> None:
    """transformers, up to 4.53."""
    told = written.of(str(written.file(tmp_path, "sft.yaml", written.TRL)), trl=version)
    assert part(told, "aggregation").configured.startswith(said)


def test_a_script_of_ones_own() -> None:
    told = written.of("torchrun", "--nproc_per_node", "2", "mine.py", "--learning_rate", "1e-4", "--frobnicate", "3")
    assert row(told, "frobnicate").word == "not covered"
    assert part(told, "trained").configured == "as the labels say"
    assert "for mine.py, of which the Trainer's arguments are taken over" in told.run[0]


def test_openrlhf_with_flat_flags() -> None:
    words = "deepspeed --module openrlhf.cli.train_sft --train_batch_size 64 --micro_train_batch_size 2"
    words += " --learning_rate 1e-5 --packing_samples --input_key q --output_key a --max_len 4096"
    told = written.of(*words.split(), world=4, rows=6400)
    assert part(told, "global batch").configured == "2 a micro-batch x 8 accumulated x 4 ranks = 64 sequences"
    assert part(told, "length").configured == "2 epochs = 200 steps"
    assert part(told, "schedule").configured == "a warm-up of 3 % of the steps from 0, half a cosine to 10 %"
    assert part(told, "optimizer").configured == "AdamW, betas 0.9 and 0.95, eps 1e-08"
    assert row(told, "packing_samples").word == "swapped"


def test_openrlhf_with_dotted_flags() -> None:
    words = "python -m openrlhf.cli.train_sft --train.batch_size 64 --adam.lr 1e-5 --max_norm 0.3 --ds.param_dtype bf16"
    told = written.of(*words.split(), "--train.frobnicate", "1", "--min_lr_ratio", "0.2", world=4)
    assert told.release == f"openrlhf {releases.releases('openrlhf')[-1].version}"
    assert part(told, "clipping").configured == "at a norm of 0.3"
    assert part(told, "schedule").configured.endswith("to 20 %")
    assert row(told, "train.frobnicate").word == "unknown to this release"
    assert "train.frobnicate" in told.refused[0]


def test_openrlhf_rounds_a_warm_up_up() -> None:
    """`math.ceil` in utils/deepspeed/deepspeed.py: 0.1 of 3 epochs of 31 whole windows are 9.3 steps."""
    words = "deepspeed --module openrlhf.cli.train_sft --train_batch_size 64 --max_epochs 3 --lr_warmup_ratio 0.1"
    rates = {each.at: each.rate for each in written.of(*words.split(), world=2, rows=2000).rates}
    assert rates["step 10"] == max(rates.values()) > rates["step 9"]


def test_a_batch_that_is_no_multiple_is_refused() -> None:
    words = "--train_batch_size 60 --micro_train_batch_size 8"
    told = written.of("python", "-m", "openrlhf.cli.train_sft", *words.split(), world=2)
    assert "is not a multiple" in told.refused[0]


def test_verls_new_trainer() -> None:
    words = [
        "torchrun",
        "--nproc_per_node=2",
        "-m",
        "verl.trainer.sft_trainer",
        "optim.lr=1e-4",
        "optim.betas=[0.8,0.9]",
    ]
    told = written.of(*words, "data.use_dynamic_bsz=False", "data.train_batch_size=32",
                      "trainer.total_training_steps=50",
                      "optim.lr_scheduler_type=cosine", "optim.lr_warmup_steps_ratio=0.15", world=None)  # fmt: skip
    assert part(told, "global batch").configured == "4 a micro-batch x 4 accumulated x 2 ranks = 32 sequences"
    assert part(told, "schedule").configured == "a warm-up of 7 steps from 0, half a cosine to 0"  # 7.5, rounded down
    assert part(told, "decay").configured == "0.01 of all parameters, norms and biases too"
    assert part(told, "dtypes").configured == "computed in bf16, weights fp32, gradients reduced in fp32"


def test_verls_old_trainer() -> None:
    told = written.of(
        "torchrun", "-m", "verl.trainer.fsdp_sft_trainer", "optim.lr=1e-4", "model.lora_rank=8", "nonsense.key=1"
    )
    assert told.release is not None
    assert told.release.startswith("verl 0.")
    assert row(told, "model.lora_rank").word == "kept"
    assert row(told, "nonsense.key").word == "unknown to this release"
    assert part(told, "schedule").configured.endswith("half a cosine to 0")


@pytest.mark.parametrize(("program", "pad_mode", "end"), [
    ("sft_trainer", "no_padding", "end"),
    ("sft_trainer", "right", "beginning"),
    ("fsdp_sft_trainer", None, "beginning"),
])  # fmt: skip
def test_verl_cuts_at_the_beginning_where_it_fills_rows_up(program: str, pad_mode: str | None, end: str) -> None:
    """utils/dataset/multiturn_sft_dataset.py and sft_dataset.py."""
    words = ["data.truncation=left", "data.max_length=100", *([f"data.pad_mode={pad_mode}"] if pad_mode else [])]
    told = written.of("torchrun", "-m", f"verl.trainer.{program}", *words)
    assert part(told, "long rows").configured == f"cut to 100 tokens, at the {end}"
    assert any("data.truncation=left has no effect" in odd for odd in told.odd) == (end == "end")


def test_axolotl(tmp_path: Path) -> None:
    told = written.of(str(written.file(tmp_path, "a.yml", written.AXOLOTL)))
    assert told.release is None
    assert part(told, "global batch").configured == "2 a micro-batch x 4 accumulated x 2 ranks = 16 sequences"
    assert part(told, "length").by == "the defaults of axolotl"
    assert row(told, "optimizer").why == "by what bitsandbytes has for CPUs, in the run of the first steps alone"
    assert row(told, "resume_from_checkpoint").word == "no effect on the step"
    assert "8 bits" in told.not_covered[0]


def test_swift() -> None:
    words = "swift sft --tuner_type full --torch_dtype bfloat16 --enable_dft_loss true --per_device_train_batch_size 2"
    told = written.of("NPROC_PER_NODE=2", *words.split(), world=None)
    assert part(told, "learning rate").configured == "1e-05"
    assert part(told, "global batch").configured == "2 a micro-batch x 4 accumulated x 2 ranks = 16 sequences"
    assert part(told, "token loss").configured == "times the target's own probability (DFT)"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("learning_rate", "fast"),
        ("learning_rate", 0),
        ("gradient_accumulation_steps", 0),
        ("warmup_ratio", -0.5),
        ("adam_beta1", 1),
    ],
)
def test_a_value_that_is_none_is_named(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(BadConfiguration, match=key):
        written.factory(tmp_path, **{key: value})


# ---- schedules, and the intent


@pytest.mark.parametrize("step", range(12))
def test_deepspeeds_warmup_as_deepspeed_has_it(step: int) -> None:
    """The log warm-up of WarmupLR in deepspeed/runtime/lr_schedules.py: step k of W has log(k + 1) / log(W)."""
    import math

    told = schedules.of_deepspeed("WarmupLR", {"warmup_num_steps": 10}, Schedule())
    assert told is not None
    assert told.factor(step, 100) == pytest.approx(min(1.0, math.log(step + 1) / math.log(10)))


def test_an_intent_is_made_of_a_step(tmp_path: Path) -> None:
    """The one that the scenario of the same step has, but for the rows that it is made of."""
    scenario = scenarios.get("sft-ragged")
    wanted = of_scenario(scenario)
    rule = scenario.optimizer
    values = {
        **written.TRL, "learning_rate": rule.learning_rate, "lr_scheduler_type": "constant",
        "weight_decay": rule.weight_decay,
        "max_grad_norm": rule.max_grad_norm, "adam_beta2": rule.beta2, "bf16": False, "assistant_only_loss": True,
        "gradient_accumulation_steps": scenario.window.accumulation, "optim": "adamw_torch",
    }  # fmt: skip
    read = reading.read([str(written.file(tmp_path, "x.yaml", values))], [], scenario.window.ranks)
    found, _, _ = plan.step(read, {}, None)
    from dataclasses import replace

    from scenarios import weights

    made = found.intent(weights.shapes(scenario.model), scenario.window.steps, scenario.window.ranks)
    assert made == replace(wanted, windows=None, drawn=None)


def test_an_intent_needs_what_nobody_said(tmp_path: Path) -> None:
    read = reading.read([str(written.file(tmp_path, "x.yaml", written.FACTORY))], [], None)
    found, _, _ = plan.step(read, {}, 100)
    with pytest.raises(ValueError, match="horizon"):
        found.intent({"w": (2, 2)}, 3, 2)
    assert found.aggregation == Mean()
    assert effective.shape(found.optimizer.schedule) == "a warm-up of 10 % of the steps from 0, half a cosine to 0"


# ---- options that are none


@pytest.mark.parametrize(
    ("key", "pins", "refused"),
    [
        ("gradient_acumulation_steps", {}, True),
        ("warmup_ratio", {"trl": "1.16.0"}, True),
        ("warmup_ratio", {}, False),
        ("warmup_ratio", {"trl": "1.16.0", "transformers": "4.57.1"}, False),
        ("number_of_demonstrations", {"trl": "1.16.0"}, False),
    ],
    ids=["slip", "gone", "assumed", "the-trainer-has-it", "a-script-may-have-it"],
)
def test_an_option_that_trl_does_not_know(tmp_path: Path, key: str, pins: dict[str, str], refused: bool) -> None:
    told = written.of(str(written.file(tmp_path, "sft.yaml", {**written.TRL, key: 1})), **pins)
    assert [key in said for said in told.refused] == [True] * refused


@pytest.mark.parametrize(
    ("release", "said", "first"),
    [("0.9.3", "a warm-up of 300 steps from 0", "steps"), ("0.9.5", "a warm-up of 10 % of the steps from 0", "ratio")],
)
def test_which_warmup_wins_hangs_on_the_release(tmp_path: Path, release: str, said: str, first: str) -> None:
    values = {**written.FACTORY, "warmup_steps": 300}
    found = part(written.of(str(written.file(tmp_path, "sft.yaml", values)), llamafactory=release), "schedule")
    assert found.configured.startswith(said)
    assert f"warmup_{first} in sft.yaml, over warmup_" in found.by


@pytest.mark.parametrize(
    ("changed", "kind", "name"),
    [
        ({"optim": "adafactor"}, None, "adafactor"),
        ({"optim": "galore_adamw"}, None, "galore_adamw"),
        ({"use_muon": True}, None, "use_muon"),
        ({}, "Lion", "Lion"),
        ({"optim": "adafactor"}, "AdamW", None),
        ({"optim": "adamw_torch"}, None, None),
    ],
)
def test_an_optimizer_of_another_rule_is_named(
    tmp_path: Path, changed: dict[str, Any], kind: str | None, name: str | None
) -> None:
    engine = None if kind is None else {**written.ENGINE, "optimizer": {"type": kind, "params": {}}}
    told = written.factory(tmp_path, engine, **changed)
    said = f"{name}, whose rule no intent says"
    assert (part(told, "optimizer").configured == said) == (f"the optimizer {said}" in told.not_covered) == bool(name)


def test_a_warmup_that_takes_all_steps_has_an_intent(tmp_path: Path) -> None:
    values = {**written.FACTORY, "warmup_ratio": None, "warmup_steps": 300, "max_steps": 200}
    read = reading.read([str(written.file(tmp_path, "sft.yaml", values))], [], 2)
    step, _, _ = plan.step(read, {}, None)
    first = plan.small_runs(read, step)[0]
    intent = first.intent({"lm_head.weight": (8, 4)}, packs=False)
    assert [intent.learning_rate(n, "lm_head.weight") for n in (0, 150)] == pytest.approx([0.0, 1e-5])
