"""ms-swift's own command in a small run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.validation.ledger import LENGTH
from harness.validation.options import Options
from harness.validation.small import model, rows, trainer
from harness.validation.small.options import Kept
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run

FRAMEWORK = "ms-swift"
PROGRAM = "swift.cli.sft"
DATA, ENGINE = "rows.jsonl", "deepspeed.json"
QUIET: Mapping[str, Any] = {
    "dataset_shuffle": False, "dataloader_num_workers": 0, "dataloader_persistent_workers": False,
    "add_version": False, "check_model": False,
}  # fmt: skip
"""`check_model` asks the model hub whether the checkpoint is its newest."""


TEMPLATES = (
    ("qwen3", "qwen3"), ("qwen2.5-math", "qwen2_5_math"), ("qwen2.5", "qwen2_5"), ("qwen", "qwen"),
    ("llama-3.2", "llama3_2"), ("llama-3", "llama3"), ("llama-2", "llama"), ("gemma", "gemma"), ("phi-3", "phi3"),
    ("deepseek-r1", "deepseek_r1"),
)  # fmt: skip
"""What it takes by the model's name, which a folder does not tell (template/constant.py)."""
OTHERWISE = "chatml"


def small(kept: Kept, run: Run, place: Place) -> Small:
    """As `swift sft` has it."""
    found = {**trainer.arguments(kept, run), **QUIET}
    engine = found.pop("deepspeed", None)
    length = Options(kept.configuration, kept.release, {}).value("max_length")
    kind = json.loads((place.model / "config.json").read_text())["model_type"]
    found |= {
        "model": str(place.model),
        "model_type": kept.configuration.value("model_type") or kind,
        "template": kept.configuration.value("template") or _template(kept),
        "dataset": str(place.here / DATA),
        "max_length": min(length, LENGTH) if isinstance(length, int) and length > 0 else LENGTH,
        "split_dataset_ratio": 0,
    }
    if engine is not None:
        found["deepspeed"] = str(place.here / ENGINE)
    lines = [
        json.dumps({"messages": rows.messages(one)}) + "\n" for one in rows.conversations(run.rows, run.of_a_step, 2)
    ]
    files = {DATA: "".join(lines), **({} if engine is None else {ENGINE: json.dumps(engine)})}
    return Small(trainer.given(kept, run, FRAMEWORK, PROGRAM, words(found)), files)


def _template(kept: Kept) -> str:
    name = (model.name(kept.configuration) or "").lower()
    return next((template for part, template in TEMPLATES if part in name), OTHERWISE)


def words(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Options as a command line has them."""
    line: list[str] = []
    for key, value in found.items():
        each = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        line += [f"--{key}", *(str(one).lower() if isinstance(one, bool) else str(one) for one in each)]
    return tuple(line)
