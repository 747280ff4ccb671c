"""TRL's DPOTrainer on the scenario's pairs, as its documentation calls it: `DPOTrainer(...).train()`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl.trainer import dpo_trainer

from adapters.contract import Job, Scenario, Shim
from adapters.families import hf_trainer, preferences, trl_models
from adapters.families.preferences import Pair
from adapters.inside.recorder import Recorder

KNOWN = hf_trainer.names(DPOConfig)

REFACTORED = not hasattr(DPOTrainer, "dpo_loss")
"""Since 0.29 its losses stand in `_compute_loss`, and of those that are made of the reference's log-probabilities
`label_smoothing` is read by `robust`, `exo_pair`, `aot` and `aot_unpaired` alone."""

OF_MEANS = "sigmoid_norm"
"""What a release that has it calls the sigmoid of means over tokens."""

TAKES_MESSAGES = REFACTORED or "is_chat" in inspect.signature(getattr(DPOTrainer, "tokenize_row", repr)).parameters
"""Whether an answer that the chat template ends in an EOS gets no second one. Before, it is given as text."""

CUTS_PROMPTS = hasattr(dpo_trainer, "_truncate_tokens")
"""Whether of a pair that is too long the prompt is cut first, up to 0.11."""

prepare = hf_trainer.prepare


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why TRL's DPOTrainer cannot run this scenario; None if it can."""
    objective, trl = scenario.objective, f"trl {version}"
    if objective.preference_smoothing and REFACTORED:
        return (
            f"{trl} passes over label_smoothing with loss_type 'sigmoid', without a word (_compute_loss in"
            " trainer/dpo_trainer.py), so it has no preference_smoothing"
        )
    if objective.preference == "sigmoid-mean" and OF_MEANS not in inspect.getsource(DPOConfig):
        return f"{trl} has no loss_type={OF_MEANS!r} (trainer/dpo_config.py), so it has no preference='sigmoid-mean'"
    if objective.reference == "none" and "reference_free" not in KNOWN:
        return f"{trl} has no reference_free (trainer/dpo_config.py), so it has no objective.reference='none'"
    if scenario.data.max_length is not None and CUTS_PROMPTS:
        return (
            f"{trl} cuts off prompts before answers (_truncate_tokens in trainer/dpo_trainer.py): it has no max_length"
        )
    if "train_sampling_strategy" not in KNOWN and scenario.epochs_begun > 1:
        return f"{trl} has no order='given' in several epochs: its sampler shuffles each of them"
    if (why := preferences.unsupported(scenario, trl)) is not None:
        return why
    return trl_models.unsupported(scenario, trl) or hf_trainer.unsupported(scenario, trl)


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in TRL and what is below it."""
    return hf_trainer.shims(job)


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever TRL raises."""
    hf_trainer.begin(job)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    named = "processing_class" in inspect.signature(DPOTrainer.__init__).parameters
    trainer = DPOTrainer(
        model=trl_models.model(job),
        args=config(job.scenario),
        train_dataset=dataset(job, tokenizer),
        callbacks=[hf_trainer.Recording(job, recorder, rank)],
        **{"processing_class" if named else "tokenizer": tokenizer},
    )
    trainer.train()


def config(scenario: Scenario) -> DPOConfig:
    """The scenario as TRL's configuration; what it does not say stays at TRL's defaults."""
    given = hf_trainer.arguments(scenario, KNOWN) | trl_models.options(scenario)
    longest = scenario.data.max_length or scenario.model.max_positions
    given |= losses(scenario)
    given["beta"] = scenario.objective.beta
    given["per_device_train_batch_size"] = preferences.per_device(scenario)
    given["max_length"] = longest
    if "max_prompt_length" in KNOWN:
        given["max_prompt_length"] = longest
    if "truncation_mode" in KNOWN and not CUTS_PROMPTS:
        given["truncation_mode"] = "keep_start"
    return DPOConfig(**given)


def losses(scenario: Scenario) -> dict[str, Any]:
    """Of a pair, by TRL's names."""
    objective = scenario.objective
    kind = {"ipo-mean": "ipo", "sigmoid-mean": OF_MEANS}.get(objective.preference, "sigmoid")
    given: dict[str, Any] = {"loss_type": [kind] if REFACTORED else kind}
    if objective.preference_smoothing:
        given["label_smoothing"] = objective.preference_smoothing
    if objective.reference == "none":
        given["reference_free"] = True
    if not objective.sft_coefficient:
        return given
    if "rpo_alpha" in KNOWN:
        return {**given, "rpo_alpha": objective.sft_coefficient}
    return {**given, "loss_type": [kind, "sft"], "loss_weights": [1.0, objective.sft_coefficient]}


def dataset(job: Job, tokenizer: Any) -> Dataset:
    """A prompt and two answers in each row: messages, or before 0.28 texts that TRL puts an EOS behind."""
    rows = [row(pair) for pair in preferences.pairs(job)]
    if not TAKES_MESSAGES:
        rows = [texts(row, tokenizer) for row in rows]
    if "train_sampling_strategy" not in KNOWN:
        rows = hf_trainer.shuffled_back(rows, DPOConfig.seed)
    return Dataset.from_list(rows)


def row(pair: Pair) -> dict[str, Any]:
    """In TRL's conversational format."""
    answers = {"chosen": pair.chosen, "rejected": pair.rejected}
    told = {name: [{"role": "assistant", "content": answer}] for name, answer in answers.items()}
    return {"prompt": pair.prompt, **told}


def texts(row: dict[str, Any], tokenizer: Any) -> dict[str, str]:
    """The same as TRL's examples make texts of it before they call the trainer, but for the EOS."""

    def rendered(messages: list[dict[str, str]], **how: Any) -> str:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, **how))

    prompt = rendered(row["prompt"], add_generation_prompt=True)
    answers = {name: rendered(row["prompt"] + row[name]) for name in ("chosen", "rejected")}
    return {"prompt": prompt} | {
        name: text.removeprefix(prompt).removesuffix(tokenizer.eos_token) for name, text in answers.items()
    }
