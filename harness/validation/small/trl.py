"""TRL's own script for supervised training in a small run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from packaging.version import Version

from harness.validation.known.options import Options
from harness.validation.read.configuration import truth
from harness.validation.readers import trl
from harness.validation.small import own, rows, trainer
from harness.validation.small.kept import Kept
from harness.validation.small.own import Column
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run

FRAMEWORK = "trl"
SCRIPTS_SINCE = Version("0.13")
FILE, DATA = "train.yaml", "rows"


def small(kept: Kept, run: Run, place: Place) -> Small:
    """As `python -m trl.scripts.sft --config FILE` has it."""
    assert kept.release is not None
    old = Version(kept.release.version) < SCRIPTS_SINCE
    program = "trl.commands.scripts.sft" if old else "trl.scripts.sft"
    found = trainer.arguments(kept, run)
    limit = "max_length" if kept.has("max_length") else "max_seq_length"
    options = Options(kept.configuration, kept.release, {})
    asked = trl.longest(options)
    found |= {
        "model_name_or_path": str(place.model),
        "dataset_name": str(place.here / DATA),
        "dataset_train_split": "train",
        limit: None if asked is None else min(asked, run.length),
    }
    made = own.of_run(kept, run, lambda: columns(options), turns(kept), lambda one: row(kept, one), asked is not None)
    return Small(
        trainer.given(kept, run, FRAMEWORK, program, ("--config", FILE)),
        {FILE: trainer.text(found), f"{DATA}/train.jsonl": rows.lines(made)},
    )


def columns(options: Options) -> Sequence[Column]:
    """Of the user's own rows: what SFTTrainer looks for, in its order."""
    data = options.configuration.data
    there = data.columns if data is not None else ()
    if trl.has_completions(options.configuration):
        by = "which TRL takes beside the completion"
        return [Column(("prompt",), by, answer=False), Column(("completion",), "which TRL takes beside the prompt")]
    if (chat := next((name for name in own.CHATS if name in there), None)) is not None:
        return [Column((chat,), "which TRL takes")]
    named = str(options.value("dataset_text_field", "text"))
    return [Column((named,), "by dataset_text_field; TRL also takes messages, or prompt with completion")]


def turns(kept: Kept) -> int:
    """Of a conversation at most: a completion has one."""
    return 1 if truth(kept.values.get("completion_only_loss")) else 2


def row(kept: Kept, told: rows.Turns) -> dict[str, Any]:
    """Of the dataset: prompt and completion where that is asked for, else a text where one is named, else messages."""
    if truth(kept.values.get("completion_only_loss")):
        return {"prompt": told[0][0] + " ", "completion": told[0][1]}
    field = kept.values.get("dataset_text_field")
    if field:
        return {str(field): " ".join(f"{question} {answer}" for question, answer in told)}
    return {"messages": rows.messages(told)}
