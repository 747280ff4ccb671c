"""TRL's own script for supervised training in a small run."""

from __future__ import annotations

import json
from typing import Any

from packaging.version import Version

from harness.validation.configuration import truth
from harness.validation.options import Options
from harness.validation.small import rows, trainer
from harness.validation.small.kept import Kept
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
    asked = Options(kept.configuration, kept.release, {}).value(limit)
    found |= {
        "model_name_or_path": str(place.model),
        "dataset_name": str(place.here / DATA),
        "dataset_train_split": "train",
        limit: min(asked, run.length) if isinstance(asked, int) and asked > 0 else run.length,
    }
    lines = [json.dumps(row(kept, one)) + "\n" for one in run.conversations(turns(kept))]
    return Small(
        trainer.given(kept, run, FRAMEWORK, program, ("--config", FILE)),
        {FILE: json.dumps(found), f"{DATA}/train.jsonl": "".join(lines)},
    )


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
