"""Configurations validated as a user does it, by the command."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.validation.record import Validation
from tests.frameworks.command import COMMAND, processes_in, wait_until
from tests.harness.validation import written

QWEN = {"model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"}
FACTORY = {**written.FACTORY, **QWEN, "per_device_train_batch_size": 1}
TRL = {
    **QWEN,
    "dataset_name": "somebody/rows",
    "max_length": 1024,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 4,
    "learning_rate": 1e-4,
    "num_train_epochs": 2,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 100,
    "bf16": True,
}
OFFLOAD = {
    **written.ENGINE,
    "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}},
}


@dataclass(frozen=True)
class Done:
    """A validation that has ended."""

    status: int
    printed: str
    said: str
    out: Path

    @property
    def record(self) -> Validation:
        return Validation.model_validate_json((self.out / "validation.json").read_text())

    @property
    def causes(self) -> list[str]:
        return [cause.cause for cause in self.record.causes]


def validated(
    folder: Path,
    environments: Path,
    values: dict[str, Any],
    engine: dict[str, Any] | None = None,
    *more: str,
    versions: str | None = None,
) -> Done:
    """As a user has it; nothing of it is left behind."""
    words = [str(written.file(folder, "sft.yaml", values)), *more]
    if engine is not None:
        words += ["--with", str(written.file(folder, "ds.json", engine))]
    if versions is not None:
        (folder / "pins.txt").write_text(versions)
        words += ["--versions", str(folder / "pins.txt")]
    temporary, out = folder / "temporary", folder / "out"
    temporary.mkdir()
    done = subprocess.run(
        [str(COMMAND), "validate", *words, "--out", str(out), "--envs", str(environments)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        timeout=800,
    )
    assert wait_until(lambda: not processes_in(temporary), 5.0)
    assert not list(temporary.iterdir())
    return Done(done.returncode, done.stdout, done.stderr, out)
