"""ms-swift's own command in a small run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from harness.validation.known.ledger import LENGTH, ROOM
from harness.validation.known.options import Options
from harness.validation.small import model, own, rows, script, trainer
from harness.validation.small.kept import Kept
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run

FRAMEWORK = "ms-swift"
PROGRAM = "swift.cli.sft"
DATA, ENGINE, NAMED = "rows.jsonl", "deepspeed.json", "named"
QUIET: Mapping[str, Any] = {
    "dataloader_num_workers": 0, "dataloader_persistent_workers": False, "add_version": False, "check_model": False,
}  # fmt: skip
"""`check_model` asks the model hub whether the checkpoint is its newest."""
ALIKE = ("default", "last_round", "all", "base", "ignore_empty_think", "ignore_think_prefix")
"""Loss scales by which a token is trained or not (loss_scale/mapping.py); others weigh tokens by what they say."""


def small(kept: Kept, run: Run, place: Place) -> Small:
    """As `swift sft` has it. Raises ValueError for a loss scale that no intent says."""
    options = Options(kept.configuration, kept.release, {})
    scale = str(options.value("loss_scale", "default"))
    if not set(scale.split("+")) <= set(ALIKE):
        raise ValueError(f"loss_scale {scale} weighs tokens by what they say, and an intent weighs all of them alike")
    found = {**trainer.arguments(kept, run), **QUIET}
    engine = found.pop("deepspeed", None)
    length = options.whole("max_length", ROOM, 1)
    named = name(kept)
    found |= {
        **{key: options.value(key) for key in ("model_type",) if options.said(key)},
        "model": str(place.here / named),
        "dataset": str(place.here / DATA),
        "max_length": min(length, ROOM),
        "split_dataset_ratio": 0,
        **fsdp(found),
        **({} if engine is None else {"deepspeed": str(place.here / ENGINE)}),
    }
    given = trainer.given(kept, run, FRAMEWORK, PROGRAM, words(found))
    turns = 2 if length >= 2 * LENGTH else 1
    # half as many words of each: templates put a system message before every row
    made = own.of_run(kept, run, lambda: script.columns(options), turns, row, long=False, share=2)
    return Small(
        replace(given, more={"model": str(place.model), "named": str(named)}),
        {
            DATA: rows.lines(made),
            **({} if engine is None else {ENGINE: json.dumps(engine)}),
        },
    )


def row(told: rows.Turns) -> dict[str, Any]:
    return {"messages": rows.messages(told)}


def name(kept: Kept) -> PurePosixPath:
    """A path that ends as the configuration's own: by it the release knows which model and template it is."""
    parts = [part for part in (model.name(kept.configuration) or "").split("/") if re.fullmatch(r"[\w.-]{1,100}", part)]
    return PurePosixPath(NAMED, *(part for part in parts if part.strip(".")))


def fsdp(found: Mapping[str, Any]) -> dict[str, Any]:
    """The Trainer's two options of FSDP as the one that ms-swift has, in JSON (_init_fsdp in arguments/sft_args.py)."""
    both = {key: found[key] for key in ("fsdp", "fsdp_config") if key in found}
    return {"fsdp": json.dumps(both), "fsdp_config": None} if both else {}


def words(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Options as a command line has them."""
    line: list[str] = []
    for key, value in found.items():
        each = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        told = [str(one).lower() if isinstance(one, bool) else str(one) for one in each]
        line += [] if value is None else [f"--{key}", *told]
    return tuple(line)
