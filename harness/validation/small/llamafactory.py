"""LLaMA-Factory's launcher in a small run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.validation.known.options import Options
from harness.validation.read.configuration import Data
from harness.validation.small import own, rows, trainer
from harness.validation.small.kept import Kept
from harness.validation.small.own import Column
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run

FRAMEWORK = "llamafactory"
PROGRAM = "llamafactory.launcher"
FILE, DATA, INFO = "train.yaml", "rows.json", "dataset_info.json"
NAME = "rows"
MADE: Mapping[str, Any] = {
    "formatting": "alpaca",
    "columns": {"prompt": "instruction", "response": "output", "history": "history"},
}
"""How rows that are made are laid out."""
CHAT: Mapping[str, str] = {
    "role_tag": "role", "content_tag": "content",
    "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system",
}  # fmt: skip
SAID = ("formatting", "columns", "tags")
LEFT_OUT = ("max_samples", "interleave_probs", "mix_strategy", "streaming")
"""They say which rows there are, and the rows are made."""


def small(kept: Kept, run: Run, place: Place) -> Small:
    """As `llamafactory-cli train FILE` has it."""
    found = {key: value for key, value in trainer.arguments(kept, run).items() if key not in LEFT_OUT}
    options = Options(kept.configuration, kept.release, {})
    length = options.whole("cutoff_len", 2048, 1)
    found |= {
        "model_name_or_path": str(place.model),
        "stage": "sft",
        "do_train": True,
        "dataset": NAME,
        "dataset_dir": str(place.here),
        "cutoff_len": min(length, run.length),
        "overwrite_cache": True,
    }
    made = own.of_run(kept, run, lambda: columns(options), 2, alpaca, True)
    data = kept.configuration.data
    info = {NAME: {"file_name": DATA, **(MADE if data is None else layout(data))}}
    return Small(
        trainer.given(kept, run, FRAMEWORK, PROGRAM, (FILE,)),
        {FILE: trainer.text(found), DATA: json.dumps(made), INFO: json.dumps(info)},
    )


def layout(data: Data) -> dict[str, Any]:
    """How the user's own rows are laid out: as the list of datasets says, else by the usual names of their columns."""
    if data.layout:
        return {key: data.layout[key] for key in SAID if key in data.layout}
    usual = own.usual(data)
    if len(usual) == 1:
        (name,) = usual[0].path
        first = data.rows[0][name] if data.rows else ()
        chat = isinstance(first, list) and bool(first) and isinstance(first[0], dict) and "role" in first[0]
        return {"formatting": "sharegpt", "columns": {"messages": name}, **({"tags": dict(CHAT)} if chat else {})}
    told = {"prompt": usual[0].path[0], "response": usual[-1].path[0]}
    return {"formatting": "alpaca", "columns": told | ({"query": "input"} if len(usual) > 2 else {})}


def columns(options: Options) -> Sequence[Column]:
    """Of the user's own rows: what LLaMA-Factory reads by their layout. A history of earlier turns is left out."""
    data = options.configuration.data
    found = layout(data) if data is not None else dict(MADE)
    names, by = (
        found.get("columns") or {},
        f"by {INFO}" if data is not None and data.layout else "as LLaMA-Factory reads",
    )
    if found.get("formatting") in ("sharegpt", "openai"):
        return [Column((str(names.get("messages", "conversations")),), by)]
    usual = {"prompt": "instruction", "query": "input", "response": "output", **names}
    return [
        Column((str(usual["prompt"]),), by, answer=False),
        Column((str(usual["query"]),), by, answer=False, needed=False),
        Column((str(usual["response"]),), by),
    ]


def alpaca(turns: rows.Turns) -> dict[str, Any]:
    """The last turn, and those before it as its history."""
    *before, (question, answer) = turns
    return {"instruction": question, "history": [list(turn) for turn in before], "output": answer}
