"""ms-swift's `rlhf_main` with `rlhf_type: dpo`, on the scenario's pairs as a local dataset."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from swift import RLHFArguments, rlhf_main

from adapters import swift_sft
from adapters.contract import Job, Scenario
from adapters.families import hf_fsdp, preferences, row_files
from adapters.inside.recorder import Recorder
from adapters.swift_sft import shims

__all__ = ["prepare", "shims", "train", "unsupported"]

LOSSES = {"sigmoid": "sigmoid", "ipo-mean": "ipo"}
"""What it calls a scenario's `objective.preference`."""


def prepare() -> None:
    """As for `sft`, and its trainer of preferences, which it imports when it is asked for."""
    swift_sft.prepare()
    import_module("swift.rlhf_trainers.dpo_trainer")


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why ms-swift cannot run this scenario; None if it can."""
    if scenario.sharding.strategy in hf_fsdp.VERSIONS and (why := swift_sft.lacks_msgspec(version)) is not None:
        return why
    if scenario.objective.reference == "none":
        return (
            f"ms-swift {version} has no option for objective.reference='none' (RLHFArguments in arguments/rlhf_args.py)"
        )
    return preferences.unsupported(scenario, f"ms-swift {version}") or swift_sft.unsupported(scenario, version)


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever ms-swift raises."""
    folder = swift_sft.begin(job, recorder, rank)
    rows = [
        {"messages": [*prompt, {"role": "assistant", "content": chosen}], "rejected_response": rejected}
        for prompt, chosen, rejected in preferences.pairs(job)
    ]
    file = row_files.write_one(rows, folder / "rows.jsonl")
    rlhf_main(RLHFArguments(**arguments(job, file)))


def arguments(job: Job, dataset: Path) -> dict[str, Any]:
    """As for `sft`, with the options of preferences. Of low-rank updates the reference would be the model without any,
    so that those of the checkpoint are named."""
    wanted, given = job.scenario.objective, swift_sft.arguments(job, [dataset])
    return {
        **given,
        "rlhf_type": "dpo",
        "per_device_train_batch_size": preferences.per_device(job.scenario),
        "loss_type": LOSSES[wanted.preference],
        "beta": wanted.beta,
        "label_smoothing": wanted.preference_smoothing,
        "rpo_alpha": wanted.sft_coefficient or None,
        **({"ref_adapters": given["adapters"]} if "adapters" in given else {}),
    }
