"""LLaMA-Factory's `run_exp` with `stage: dpo`, on the scenario's pairs as a local dataset with `ranking`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters import llamafactory_sft
from adapters.contract import Job, Scenario
from adapters.families import hf_trainer, preferences
from adapters.inside.recorder import Recorder
from adapters.llamafactory_sft import shims

__all__ = ["prepare", "shims", "train", "unsupported"]

LOSSES = {"sigmoid": "sigmoid", "ipo-mean": "ipo"}
"""What it calls a scenario's `objective.preference` (hparams/finetuning_args.py)."""

TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
COLUMNS = {"messages": "messages", "chosen": "chosen", "rejected": "rejected"}


def prepare() -> None:
    """As for `sft`, and its trainer of preferences, which it imports when it is asked for."""
    llamafactory_sft.prepare()
    import llamafactory.train.dpo.trainer  # noqa: F401  after its stand-in


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why LLaMA-Factory cannot run this scenario; None if it can."""
    why = preferences.unsupported(scenario, f"llamafactory {version}")
    return why or llamafactory_sft.unsupported(scenario, version)


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever LLaMA-Factory raises."""
    llamafactory_sft.run(job, recorder, rank, write_dataset, config)


def config(job: Job, folder: Path) -> dict[str, Any]:
    """As for `sft`, with the options of preferences. Of low-rank updates the reference would be the model without any,
    so that it is named, with those of the checkpoint."""
    wanted, given = job.scenario.objective, llamafactory_sft.config(job, folder)
    adapters = given.get("adapter_name_or_path")
    return {
        **given,
        "stage": "dpo",
        "per_device_train_batch_size": preferences.per_device(job.scenario),
        "pref_loss": LOSSES[wanted.preference],
        "pref_beta": wanted.beta,
        "pref_ftx": wanted.sft_coefficient,
        "dpo_label_smoothing": wanted.preference_smoothing,
        **({"ref_model": job.checkpoint, "ref_model_adapters": adapters} if adapters else {}),
    }


def write_dataset(job: Job, folder: Path) -> None:
    """Messages and two answers to them."""
    rows = [
        {"messages": pair.prompt, "chosen": _answer(pair.chosen), "rejected": _answer(pair.rejected)}
        for pair in preferences.pairs(job)
    ]
    info = {"formatting": "sharegpt", "ranking": True, "columns": COLUMNS, "tags": TAGS}
    (name,) = llamafactory_sft.names(job.scenario)
    if not llamafactory_sft.ORDERS:
        rows = hf_trainer.shuffled_back(rows, llamafactory_sft.TrainingArguments.seed)
    (folder / f"{name}.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps({name: {"file_name": f"{name}.json", **info}}))


def _answer(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}
