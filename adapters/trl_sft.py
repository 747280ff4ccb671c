"""TRL's SFTTrainer on the scenario's conversations, as its documentation calls it: `SFTTrainer(...).train()`."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
import trl
from datasets import Dataset
from packaging.version import Version
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer
from trl.trainer import sft_trainer

from adapters.contract import Job, Scenario, Shim, Unsupported
from adapters.families import hf_liger, hf_trainer, row_files, trl_models
from adapters.inside.recorder import Recorder
from adapters.inside.resumed import Saved

USER, ASSISTANT = "<|user|>", "<|assistant|>"
"""What opens a message in the scenario's chat template."""

MARKS = re.compile(r"{%-? *(end)?generation *-?%}")
"""What marks an answer in a chat template."""
MARKS_ANSWERS = Version(installed("transformers")) >= Version("4.44")
"""Whether a chat template can; before, it is no template with them."""

KNOWN = hf_trainer.names(SFTConfig)

TAKES_MESSAGES = any(hasattr(sft_trainer, name) for name in ("is_conversational", "maybe_apply_chat_template"))
LOADS_PROCESSORS = hasattr(sft_trainer, "AutoProcessor")
APART = (
    find_spec("transformers.masking_utils") is not None
    and hasattr(import_module("transformers.masking_utils"), "find_packed_sequence_indices")
    and "bfd" in inspect.getsource(SFTConfig)
    and "return_position_ids=" not in inspect.getsource(SFTTrainer.__init__)
)
"""Whether rows that share a sequence are kept apart without flash attention: TRL hands on positions that restart with
each of them, also where it warns of the attention, and of these transformers makes a mask."""

MIXES = hasattr(trl, "DatasetMixtureConfig")
"""Whether several datasets are put together by an option of TRL's (`datasets:` in the file of its command line)."""

LEAVES_LIGERS_LOSS = '"fused_linear_cross_entropy": False' in inspect.getsource(sft_trainer)
"""Whether TRL takes it out of what `use_liger_kernel` puts into the model."""

prepare = hf_trainer.prepare


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why TRL cannot run this scenario; None if it can."""
    if (why := _unsupported_packing(scenario)) is not None:
        return f"trl {version} {why}"
    if (
        scenario.data.row_format == "prompt-completion"
        and not TAKES_MESSAGES
        and any(len(r) != 2 for r in scenario.data.rows)
    ):
        return f"trl {version} makes one prompt and one completion of a row with row_format='prompt-completion'"
    if "train_sampling_strategy" not in KNOWN and scenario.data.order == "given" and scenario.epochs_begun > 1:
        return f"trl {version} has no order='given' in several epochs: its sampler shuffles each of them"
    if scenario.data.trained == "last-answer" and scenario.data.row_format == "conversation":
        return (
            f"trl {version} trains every answer of a conversation (assistant_only_loss), so it has"
            " trained='last-answer' only with row_format='prompt-completion'"
        )
    if scenario.data.parts and not MIXES:
        return f"trl {version} has no option for several datasets (DatasetMixtureConfig), so it has no data.parts"
    if "train_sampling_strategy" not in KNOWN and scenario.data.order == "given" and scenario.data.parts:
        return f"trl {version} has no order='given' of several datasets: its sampler shuffles their rows together"
    if any(map(scenario.cuts_all, scenario.data.rows)):
        return (
            f"trl {version} drops a row that has nothing to train within max_length={scenario.data.max_length}"
            " (trainer/sft_trainer.py)"
        )
    if _marks_nothing(scenario):
        return (
            f"trl {version} has no marks of a response that is its EOS alone, for transformers finds no token at the"
            " space before it (char_to_token in tokenization_utils_base.py), and ends in an error: there is none with"
            f" trained={scenario.data.trained!r} and row_format='conversation'"
        )
    if scenario.tokenizer.processor and (why := _unsupported_processor(scenario)) is not None:
        return f"trl {version} {why}"
    if scenario.loss.token_weight == "probability" and "loss_type" not in KNOWN:
        return f"trl {version} has no loss_type (trainer/sft_config.py), so it has no token_weight='probability'"
    if hf_liger.wanted(scenario) and LEAVES_LIGERS_LOSS:
        return (
            f"trl {version} leaves Liger's fused loss out and takes its other kernels (use_liger_kernel in"
            " trainer/sft_trainer.py), so it has no loss.implementation='liger'"
        )
    return hf_trainer.unsupported(scenario, f"trl {version}")


def _unsupported_processor(scenario: Scenario) -> str | None:
    if not LOADS_PROCESSORS:
        return "has no processor=True: its SFTTrainer loads a tokenizer only"
    if scenario.data.order == "by-length":
        return (
            "has no order='by-length' with a processor, whose first input is pixel_values: transformers' sampler reads"
            " lengths of that (_get_train_sampler in trainer.py), and ends in an error"
        )
    return None


def _marks_nothing(scenario: Scenario) -> bool:
    """Whether TRL is to mark a response that is its EOS alone (assistant_only_loss)."""
    marked = mask(scenario) == "assistant_only_loss" and mask(scenario) in KNOWN
    if not marked or scenario.data.trained == "everything":
        return False
    return any(m.role == "assistant" and not m.content.split() for row in scenario.data.rows for m in row)


def _unsupported_packing(scenario: Scenario) -> str | None:
    if not scenario.data.packs:
        return None
    if not APART:
        return "keeps rows that share a sequence apart with flash attention only (trainer/sft_trainer.py)"
    if scenario.data.rows_per_sequence > 1 and scenario.window.micro_batch_size > 1:
        return (
            "makes one sequence of a whole micro-batch (padding_free), so it has no"
            f" micro_batch_size={scenario.window.micro_batch_size} with"
            f" rows_per_sequence={scenario.data.rows_per_sequence}"
        )
    if scenario.data.rows_per_sequence > 1 and scenario.data.max_length is not None:
        return (
            "does not cut rows of which a micro-batch is one sequence (padding_free), so it has no"
            f" max_length={scenario.data.max_length} with rows_per_sequence={scenario.data.rows_per_sequence}"
        )
    return None


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in TRL and what is below it."""
    return hf_trainer.shims(job)


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever TRL raises."""
    scenario = job.scenario
    hf_trainer.begin(job)
    try:
        trainer = SFTTrainer(
            model=trl_models.model(job),
            args=config(scenario),
            train_dataset=dataset(job),
            callbacks=[hf_trainer.Recording(job, recorder, rank)],
            **collator(job),
        )
    except ValueError as error:
        if scenario.tokenizer.processor and "not yet supported for vision-language" in str(error):
            raise Unsupported(f"trl {job.version} cannot have processor=True here: {error}") from None
        raise
    with contextlib.suppress(Saved):
        trainer.train(resume_from_checkpoint=hf_trainer.saved(job))


def config(scenario: Scenario) -> SFTConfig:
    """The scenario as TRL's configuration; what it does not say stays at TRL's defaults."""
    given = hf_trainer.arguments(scenario, KNOWN)
    given |= trl_models.options(scenario)
    if scenario.loss.token_weight == "probability":
        given["loss_type"] = "dft"
    if hf_liger.wanted(scenario):
        given["use_liger_kernel"] = True
    given["max_length" if "max_length" in KNOWN else "max_seq_length"] = (
        scenario.data.max_length or scenario.model.max_positions
    )
    given |= packing(scenario)
    if mask(scenario) in KNOWN:
        given[mask(scenario)] = scenario.data.trained != "everything"
    if scenario.loss.auxiliary and "router_aux_loss_coef" in KNOWN:
        given["router_aux_loss_coef"] = scenario.loss.auxiliary  # what the checkpoint's config.json says, too
    return SFTConfig(**given)


def packing(scenario: Scenario) -> dict[str, Any]:
    """How rows come to share sequences: by TRL's choice, or those of a micro-batch, in which case none may be cut."""
    if scenario.data.packed_length is not None:
        return {"packing": True, "max_length": scenario.data.packed_length}
    if scenario.data.rows_per_sequence > 1:
        rows = scenario.data.rows_per_sequence
        return {"padding_free": True, "max_length": None, "per_device_train_batch_size": rows}
    return {}


def mask(scenario: Scenario) -> str:
    """The option by which TRL trains responses alone."""
    return "assistant_only_loss" if scenario.data.row_format == "conversation" else "completion_only_loss"


def collator(job: Job) -> dict[str, Any]:
    """Before there was an option for it (0.17, 0.18), a collator that the user makes of the tokenizer masks prompts.

    It trains every answer if it is told what opens a question, and else the last one alone.
    """
    every = job.scenario.data.trained == "everything"
    if mask(job.scenario) in KNOWN or (every and MARKS_ANSWERS):
        return {}
    from trl import DataCollatorForCompletionOnlyLM  # later releases have it no more

    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    if not MARKS_ANSWERS:
        tokenizer.chat_template = MARKS.sub("", tokenizer.chat_template)
    turns = {"instruction_template": USER} if job.scenario.data.row_format == "conversation" else {}
    name = (
        "processing_class" if "processing_class" in inspect.signature(SFTTrainer.__init__).parameters else "tokenizer"
    )
    masking = (
        {} if every else {"data_collator": DataCollatorForCompletionOnlyLM(ASSISTANT, tokenizer=tokenizer, **turns)}
    )
    return {**masking, name: tokenizer}


def dataset(job: Job) -> Dataset:
    """The rows in TRL's conversational format, or as its prompts and completions."""
    scenario = job.scenario
    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    rows = [row(json.loads(line)["messages"], scenario) for line in lines]
    if "train_sampling_strategy" not in KNOWN and scenario.data.order == "given":
        rows = hf_trainer.shuffled_back(rows, SFTConfig.seed)
    if scenario.data.parts:
        return mixture(rows, scenario)
    return Dataset.from_list(rows)


def mixture(rows: Sequence[dict[str, Any]], scenario: Scenario) -> Any:
    """The rows as TRL's own mixture of a file for each dataset, as its command line makes it."""
    files = row_files.write(rows, scenario, Path(f"data-{os.getpid()}").absolute())
    datasets.config.HF_DATASETS_CACHE = files[0].parent / "cache"  # or it grows in the user's home
    wanted = [{"path": "json", "data_files": str(file)} for file in files]
    return trl.get_dataset(trl.DatasetMixtureConfig(datasets=wanted))["train"]


def row(messages: list[dict[str, str]], scenario: Scenario) -> dict[str, Any]:
    """A row of the dataset. Up to 0.12 prompts and completions are strings, which TRL puts into the chat template."""
    if scenario.data.row_format == "conversation":
        return {"messages": messages}
    *before, last = messages
    if TAKES_MESSAGES:
        return {"prompt": before, "completion": [last]}
    return {"prompt": before[0]["content"], "completion": last["content"]}
