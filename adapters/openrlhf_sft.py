"""OpenRLHF's supervised trainer, `python -m openrlhf.cli.train_sft --flags`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from packaging.version import Version

from adapters.contract import Job, Scenario
from adapters.families import openrlhf_shims, row_files
from adapters.families import openrlhf_trainer as trainer
from adapters.families.openrlhf_flags import arguments, text
from adapters.families.openrlhf_trainer import Watched
from adapters.inside.recorder import Recorder

prepare, shims = trainer.prepare, openrlhf_shims.shims

from openrlhf.trainer.sft_trainer import SFTTrainer  # noqa: E402  after its stand-in


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why OpenRLHF cannot run this scenario; None if it can."""
    name = f"openrlhf {version}"
    if scenario.data.rows_per_sequence > 1:
        return (
            f"{name} packs by flash attention only (--packing_samples), which its recipe leaves out, so it has no"
            f" rows_per_sequence={scenario.data.rows_per_sequence}"
        )
    if (why := trainer.unsupported(scenario, Version(version)) or trainer.unsupported_epochs(scenario)) is not None:
        return f"{name} {why}"
    if scenario.data.row_format == "prompt-completion" and any(len(row) != 2 for row in scenario.data.rows):
        return f"{name} makes one question and one answer of a row with row_format='prompt-completion'"
    return None


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the command with the scenario as its flags. Raises whatever OpenRLHF raises."""
    applied = shims(job)
    trainer.start(job, applied)
    Watched(job, recorder, rank, applied).logged(SFTTrainer)
    rows = ",".join(map(str, write_rows(job, rank, world)))
    trainer.run("train_sft", arguments(job, rows, text(job.scenario)), recorder, rank)


def write_rows(job: Job, rank: int, world: int) -> list[Path]:
    """The rows as OpenRLHF reads them; if their order is given, in such a one that its shuffling gives each rank those
    of the scenario."""
    scenario = job.scenario
    source = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    rows = [as_row(json.loads(line)["messages"], scenario) for line in source]
    path = Path.cwd() / f"rows-r{rank}.jsonl"
    if scenario.data.order == "shuffled":
        return row_files.write(rows, scenario, path.with_suffix(""))
    ordered = trainer.in_order(trainer.dealt(scenario, world), scenario.seed)
    path.write_text("".join(json.dumps(rows[row]) + "\n" for row in ordered))
    return [path]


def as_row(messages: list[dict[str, str]], scenario: Scenario) -> dict[str, Any]:
    """A conversation as a list of messages, or as two texts."""
    if scenario.data.row_format == "conversation":
        return {"messages": messages}
    question, answer = (message["content"] for message in messages)
    return {"prompt": question, "completion": answer}
