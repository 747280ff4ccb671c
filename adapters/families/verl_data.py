"""The scenario's rows as the Parquet files that verl's trainers read, in an order that its sampler undoes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DistributedSampler

from adapters.contract import Job, Scenario

Row = dict[str, Any]


def unsupported(scenario: Scenario, name: str) -> str | None:
    """What verl's sampler cannot express; `name` is that of the release."""
    if scenario.data.order == "given" and scenario.data.parts:
        return (
            f"{name} shuffles the rows of all its files together (DistributedSampler in its trainer): data.parts with"
            " order='shuffled' alone"
        )
    if scenario.data.order == "given" and scenario.epochs_begun > 1:
        return f"{name} shuffles every epoch (DistributedSampler in its trainer), so it has no order='given' of several"
    if scenario.meets_last_window and scenario.window.last_window != "dropped":
        return (
            f"{name} drops what does not fill a step at the end of an epoch (drop_last=True in its trainer), so it has"
            f" no last_window={scenario.window.last_window!r}"
        )
    return None


def positions(scenario: Scenario) -> list[int]:
    """The row that verl's dataloaders must give at each position of an epoch.

    Position p goes to rank p modulo ranks (torch's DistributedSampler); a rank's share of a step is cut into
    micro-batches in order, or put together by tokens.
    """
    result = []
    for step in range(scenario.window.steps):
        dealt = [
            [
                row
                for m in range(scenario.micro_batches(step))
                for s in scenario.sequence_rows(step, m, rank)
                for row in s
            ]
            for rank in range(scenario.window.ranks)
        ]
        result += [row for together in zip(*dealt, strict=True) for row in together]
    return result


def unshuffled(wanted: Sequence[int]) -> list[int]:
    """The order of the file from which the trainers' sampler draws `wanted`.

    They are hard-wired to `DistributedSampler(shuffle=True)` with its seed of 0 in the first epoch, which draws by a
    permutation of the whole file.
    """
    rows: Any = wanted
    drawn: list[int] = list(DistributedSampler(rows, num_replicas=1, rank=0, shuffle=True, seed=0))
    file = [0] * len(wanted)
    for row, place in zip(wanted, drawn, strict=True):
        file[place] = row
    return file


def write(job: Job, rank: int) -> str:
    """Write the training files of this rank into the current folder, and return their absolute paths, as a value in an
    override of Hydra's.

    Conversations go into a column `messages`; prompts and answers into `prompt` and `response`.
    """
    import pandas as pd  # verl has it; what else is here is also used without

    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    rows = [_columns(job.scenario, json.loads(line)["messages"]) for line in lines]
    given, datasets = job.scenario.data.order == "given", job.scenario.data.datasets
    parts = [unshuffled(positions(job.scenario))] if given else [list(part) for part in datasets]
    paths = [Path.cwd() / f"train-r{rank:02d}-{number}.parquet" for number, _ in enumerate(parts)]
    for path, part in zip(paths, parts, strict=True):
        pd.DataFrame([rows[i] for i in part]).to_parquet(path)
    each = [quoted(os.fspath(path)) for path in paths]
    return each[0] if len(each) == 1 else f"[{','.join(each)}]"


def _columns(scenario: Scenario, messages: list[Row]) -> Row:
    if scenario.data.row_format == "conversation":
        return {"messages": messages}
    prompt, response = messages
    return {"prompt": prompt["content"], "response": response["content"]}


def room(job: Job) -> int:
    """A length that every row fits into with padding to spare, in steps of 64 tokens."""
    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    return 64 * (max(len(json.loads(line)["input_ids"]) for line in lines) // 64 + 1)


def quoted(path: str) -> str:
    """A path as a value in an override of Hydra's, where a bare one may hold no `=`, comma, quote or bracket.

    Its grammar: https://hydra.cc/docs/advanced/override_grammar/basic/#quoted-values
    """
    return "'" + path.replace("'", "\\'") + "'"
