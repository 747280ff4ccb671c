"""OpenRLHF's trainer on preferences, `python -m openrlhf.cli.train_dpo --flags`."""

from __future__ import annotations

import json
from pathlib import Path

from packaging.version import Version

from adapters.contract import Job, Scenario
from adapters.families import openrlhf_shims
from adapters.families import openrlhf_trainer as trainer
from adapters.families import preferences as pairs
from adapters.families.openrlhf_flags import arguments, preferences
from adapters.families.openrlhf_trainer import Watched
from adapters.inside.recorder import Recorder

prepare, shims = trainer.prepare, openrlhf_shims.shims

from openrlhf.trainer.dpo_trainer import DPOTrainer  # noqa: E402  after its stand-in

SCHEDULED = Version("0.8.5")
"""The first release whose train_dpo has --lr_scheduler; before it the rate always falls by a cosine."""


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why OpenRLHF cannot run this scenario; None if it can."""
    wanted, name = scenario.objective, f"openrlhf {version}"
    if wanted.reference == "none":
        return f"{name} always has a reference (fit in trainer/dpo_trainer.py): no objective.reference='none'"
    if (why := pairs.unsupported(scenario, name)) is not None:
        return why
    if Version(version) < SCHEDULED:
        return f"{name} has a rate that falls by a cosine to a tenth (cli/train_dpo.py), whatever the schedule"
    why = trainer.unsupported(scenario, Version(version)) or trainer.unsupported_epochs(scenario)
    return None if why is None else f"{name} {why}"


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the command with the scenario as its flags. Raises whatever OpenRLHF raises."""
    applied = shims(job)
    trainer.start(job, applied)
    Watched(job, recorder, rank, applied).logged(DPOTrainer)
    words = arguments(job, str(write_pairs(job, rank, world)), preferences(job.scenario, Version(job.version)))
    trainer.run("train_dpo", words, recorder, rank)


def write_pairs(job: Job, rank: int, world: int) -> Path:
    """The pairs as OpenRLHF reads them, in such an order that its shuffling gives each rank those of the scenario."""
    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line)["messages"] for line in lines]
    chosen = [row for row in trainer.dealt(job.scenario, world) if row % 2 == 0]
    ordered = trainer.in_order(chosen, job.scenario.seed)
    path = Path.cwd() / f"pairs-r{rank}.jsonl"
    path.write_text("".join(json.dumps({"chosen": rows[row], "rejected": rows[row + 1]}) + "\n" for row in ordered))
    return path
