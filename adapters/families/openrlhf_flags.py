"""A scenario as flags of OpenRLHF's command lines, by the names that a release has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from packaging.version import Version
from transformers.trainer_utils import SchedulerType

from adapters.contract import Job, Scenario
from adapters.families.deepspeed_setup import STAGES
from adapters.families.hf_schedules import named, rises_at_once
from adapters.inside import modeling
from adapters.inside.resumed import SAVED

DOTTED = Version("0.10.2")
"""The first release with flags such as --train.batch_size, and with an optimizer made by DeepSpeed."""
ASKS_FIRST = Version("0.10.4")
"""The first release that hands a least rate only to schedules that take one (utils/deepspeed/deepspeed.py)."""

DTYPE_BY_NAME = Version("0.9.2")
"""The first release with --param_dtype; before it --bf16, and without that whatever dtype the checkpoint has."""
ATTENTION_BY_NAME = Version("0.8.10")
"""The first release with --attn_implementation; before it --flash_attn, and without that `eager`."""
EVALUATES_ONLY_IF_TOLD = Version("0.7.0")
"""The first release with --eval_dataset; before it 3 % of the rows are set apart, unless a split is named."""
COUNTS_FROM_1 = "cosine_warmup_with_min_lr"
KNOWN = [kind.value for kind in SchedulerType]
"""Schedules of the transformers that is installed."""
NEVER = 1_000_000
"""Steps between evaluations."""

FLAGS = {
    "pretrain": "model.model_name_or_path",
    "save_path": "ckpt.output_dir",
    "dataset": "data.dataset",
    "input_key": "data.input_key",
    "output_key": "data.output_key",
    "input_template": "data.input_template",
    "apply_chat_template": "data.apply_chat_template",
    "multiturn": "data.multiturn",
    "max_len": "data.max_len",
    "seed": "train.seed",
    "max_epochs": "train.max_epochs",
    "train_batch_size": "train.batch_size",
    "micro_train_batch_size": "train.micro_batch_size",
    "zero_stage": "ds.zero_stage",
    "adam_offload": "ds.adam_offload",
    "attn_implementation": "ds.attn_implementation",
    "param_dtype": "ds.param_dtype",
    "learning_rate": "adam.lr",
    "adam_betas": "adam.betas",
    "l2": "adam.weight_decay",
    "aux_loss_coef": "model.aux_loss_coef",
    "gradient_checkpointing": "model.gradient_checkpointing_enable",
    "save_steps": "ckpt.save_steps",
    "load_checkpoint": "ckpt.load_enable",
    "ckpt_path": "ckpt.path",
}
"""The flags of 0.9 by what they are called since `DOTTED`; others kept their names."""


def arguments(job: Job, rows: str, of_rows: Mapping[str, Sequence[Any]]) -> list[str]:
    """The scenario as flags, by the names that this release has for them; what they do not say stays as it is.

    rows: files, with commas between them. of_rows: flags that say what becomes of these.
    """
    scenario = job.scenario
    each = 2 if scenario.objective.method == "dpo" else 1  # rows of ours in a row of these files
    dotted = Version(job.version) >= DOTTED
    rule = scenario.optimizer
    said: dict[str, Sequence[Any]] = {
        "pretrain": [job.checkpoint],
        "save_path": [Path.cwd() / "saved"],
        "ckpt_path": [Path.cwd() / SAVED],
        "dataset": [rows],
        "max_len": [scenario.model.max_positions],
        "seed": [scenario.seed],
        "max_epochs": [scenario.epochs_begun if scenario.data.order == "given" else scenario.data.epochs],
        "train_batch_size": [scenario.window.sequences_per_step // each],
        "micro_train_batch_size": [scenario.window.micro_batch_size // each],
        "zero_stage": [STAGES[scenario.sharding.strategy]],
        "learning_rate": [rule.learning_rate],
        "adam_betas": [rule.beta1, rule.beta2],
        "l2": [rule.weight_decay],
        "max_norm": [scenario.optimizer.max_grad_norm or 0.0],
    }
    if scenario.sharding.offload_optimizer:
        said["adam_offload"] = []
    if scenario.model.gradient_checkpointing:
        said["gradient_checkpointing"] = []
    said |= _by_release(scenario, Version(job.version))
    if scenario.loss.auxiliary:
        said["aux_loss_coef"] = [scenario.loss.auxiliary]
    if job.part == "before":
        said["save_steps"] = [job.steps.stop]
    if job.part == "after":
        said["load_checkpoint"] = []
    if dotted:
        said["adam.eps"] = [rule.eps]
    said |= {**of_rows, **schedule(scenario, dotted)}
    named = {FLAGS.get(name, name) if dotted else name: values for name, values in said.items()}
    return [word for name, values in named.items() for word in (f"--{name}", *map(str, values))]


def _by_release(scenario: Scenario, version: Version) -> dict[str, Sequence[Any]]:
    """What older releases have other flags for."""
    said: dict[str, Sequence[Any]] = {}
    if version >= ATTENTION_BY_NAME:
        said["attn_implementation"] = [modeling.attention_of(scenario)]  # flash attention otherwise
    if version < DTYPE_BY_NAME and scenario.precision.compute == "bf16":
        said["bf16"] = []
    if scenario.precision.compute == "fp16":
        said["param_dtype"] = ["fp16"]
    if version < EVALUATES_ONLY_IF_TOLD:
        said |= {"eval_split": ["train"], "eval_steps": [NEVER]}
    return said


BYTE_LEVEL_SPACE = "Ġ"
"""In a vocabulary that has it, a space before a special token would be a token of its own."""


def text(scenario: Scenario) -> dict[str, Sequence[str]]:
    """How rows become text: by the tokenizer's chat template, or by OpenRLHF's own template around a question.

    OpenRLHF adds the EOS to a text that does not end in it.
    """
    if scenario.data.row_format == "conversation":
        several: dict[str, Sequence[str]] = {"multiturn": []} if scenario.data.trained == "responses" else {}
        return {"input_key": ["messages"], "apply_chat_template": [], **several}
    told = scenario.tokenizer
    space = "" if BYTE_LEVEL_SPACE in told.vocabulary else " "
    bos = f"<bos>{space}" if told.bos else ""
    system = f"<|system|>{space}{told.system}{space}" if told.system else ""
    template = f"{bos}{system}<|user|>{space}{{}}{space}<|assistant|>{space}"
    return {"input_key": ["prompt"], "output_key": ["completion"], "input_template": [template]}


def preferences(scenario: Scenario, version: Version) -> dict[str, Sequence[Any]]:
    """How pairs become a loss. What they are held to is the model that training begins with, without a flag."""
    wanted = scenario.objective
    dotted = version >= DOTTED
    said: dict[str, Sequence[Any]] = {
        "beta": [wanted.beta],
        "label_smoothing": [wanted.preference_smoothing],
        "nll_loss_coef": [wanted.sft_coefficient],
    }
    if wanted.preference == "ipo":
        said["ipo_enable" if dotted else "ipo"] = []
    named = {f"model.{name}" if dotted else name: values for name, values in said.items()}
    return {"apply_chat_template": [], **named}


def schedule(scenario: Scenario, dotted: bool) -> dict[str, Sequence[Any]]:
    """The learning rate's schedule, by transformers' names.

    Its warm-ups start from 0, but for one: `cosine_warmup_with_min_lr` counts steps from 1 while it warms up, and with
    a least rate of 1 times the base stays there; before `DOTTED` the least rate is a tenth.
    """
    told, steps = scenario.optimizer.schedule, scenario.optimizer.schedule.warmup(scenario.window.steps)
    # the number of warm-up steps is this times the number of steps, rounded up
    ratio = told.warmup_ratio or ((steps - 0.5) / scenario.window.steps if steps else 0.0)
    if rises_at_once(scenario):
        least = {"min_lr_ratio": [1.0]} if dotted else {}
        return {"lr_scheduler": [COUNTS_FROM_1], "lr_warmup_ratio": [ratio], **least}
    found = named(told, scenario.optimizer, scenario.window.steps)
    if found is None:
        raise ValueError(f"no schedule of transformers is {told}")
    least = {"min_lr_ratio": [found.kwargs["min_lr_rate"]]} if dotted and found.kwargs else {}
    return {"lr_scheduler": [found.name], "lr_warmup_ratio": [ratio], **least}


def unsupported_schedule(scenario: Scenario, version: Version) -> str | None:
    """Why a release has no such schedule; None if it has."""
    told, found = (
        scenario.optimizer.schedule,
        named(scenario.optimizer.schedule, scenario.optimizer, scenario.window.steps),
    )
    if told.span(scenario.window.steps) != scenario.window.steps:
        return f"takes the steps that it trains for the horizon (cli/train_sft.py): no schedule.horizon={told.horizon}"
    if rises_at_once(scenario) and told.warmup(scenario.window.steps) and COUNTS_FROM_1 not in KNOWN:
        return (
            "has no schedule that warms up from 1/W (cosine_warmup_with_min_lr, which transformers"
            f" {installed('transformers')} does not have)"
        )
    if rises_at_once(scenario):
        short = told.warmup(scenario.window.steps) < scenario.window.steps
        return "has no warm-up from 1/W with a rate that stays after it" if short and version < DOTTED else None
    if found is None or not found.kwargs.keys() <= {"min_lr_rate"}:
        return (
            f"hands transformers' schedules no argument but min_lr_rate (utils/deepspeed/deepspeed.py), so it has no"
            f" schedule.decay={told.decay!r} that falls or counts as this one does"
        )
    if version < ASKS_FIRST and told.decay != "none" and not found.kwargs:
        return f"hands every schedule that falls a least rate, which {found.name} does not take"
    if version < DOTTED and found.kwargs.get("min_lr_rate", 0.1) != 0.1:
        return f"has a least rate of 0.1 times the rate, not schedule.least={told.least:g}"
    return None
