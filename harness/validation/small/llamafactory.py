"""LLaMA-Factory's launcher in a small run."""

from __future__ import annotations

import json
from typing import Any

from harness.validation.options import Options
from harness.validation.small import rows, trainer
from harness.validation.small.kept import Kept
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run

FRAMEWORK = "llamafactory"
PROGRAM = "llamafactory.launcher"
FILE, DATA, INFO = "train.yaml", "rows.json", "dataset_info.json"
NAME = "rows"
LEFT_OUT = ("max_samples", "interleave_probs", "mix_strategy", "streaming")
"""They say which rows there are, and the rows are made."""


def small(kept: Kept, run: Run, place: Place) -> Small:
    """As `llamafactory-cli train FILE` has it."""
    found = {key: value for key, value in trainer.arguments(kept, run).items() if key not in LEFT_OUT}
    length = Options(kept.configuration, kept.release, {}).whole("cutoff_len", 2048, 1)
    found |= {
        "model_name_or_path": str(place.model),
        "stage": "sft",
        "do_train": True,
        "dataset": NAME,
        "dataset_dir": str(place.here),
        "cutoff_len": min(length, run.length),
        "overwrite_cache": True,
    }
    made = [alpaca(one) for one in run.conversations(2)]
    columns = {"prompt": "instruction", "response": "output", "history": "history"}
    info = {NAME: {"file_name": DATA, "formatting": "alpaca", "columns": columns}}
    return Small(
        trainer.given(kept, run, FRAMEWORK, PROGRAM, (FILE,)),
        {FILE: json.dumps(found), DATA: json.dumps(made), INFO: json.dumps(info)},
    )


def alpaca(turns: rows.Turns) -> dict[str, Any]:
    """The last turn, and those before it as its history."""
    *before, (question, answer) = turns
    return {"instruction": question, "history": [list(turn) for turn in before], "output": answer}
