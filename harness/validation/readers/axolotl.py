"""axolotl's YAML, as far as it becomes arguments of the Trainer; there is no table of its own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.intent.intent import Trained
from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read.configuration import Configuration, Setting, truth
from harness.validation.readers import trainer
from harness.validation.step.effective import Effective

PACKAGES: tuple[str, ...] = ()
NAMES: Mapping[str, str] = {
    "per_device_train_batch_size": "micro_batch_size",
    "num_train_epochs": "num_epochs",
    "optim": "optimizer",
    "lr_scheduler_type": "lr_scheduler",
}
PROGRAMS = ("axolotl train", "axolotl.cli.train")
DEFAULTS: Mapping[str, Any] = {
    "micro_batch_size": 1,
    "num_epochs": 1.0,
    "optimizer": "adamw_torch_fused",
    "lr_scheduler": "cosine",
    "weight_decay": 0.0,
}
"""Of axolotl/utils/schemas, where they are not the Trainer's."""


def is_file(values: Mapping[str, Any]) -> bool:
    """Whether a file's keys are its own."""
    return "base_model" in values


def step(options: Options, below: Release | None, ranks: int | None) -> Effective:
    """Raises BadConfiguration."""
    configuration = options.configuration
    own = tuple(
        _default(configuration, key, value) for key, value in DEFAULTS.items() if configuration.value(key) is None
    )
    said = tuple(one for one in configuration.settings if one.value is not None) + tuple(filter(None, own))
    found = trainer.step(replace(options, configuration=replace(configuration, settings=said)), below, ranks)
    missing = list(found.not_covered)
    if not configuration.has("warmup_steps", "warmup_ratio"):
        missing.append("the warm-up, of which nothing is said: axolotl takes 3 % of the steps, 100 at most")
    trained: Trained = "everything" if truth(configuration.value("train_on_inputs")) else "responses"
    because = {**found.because, "trained": options.by("train_on_inputs", "roles_to_train", "datasets")}
    return replace(found, trained=trained, because=because, not_covered=tuple(missing))


def _default(configuration: Configuration, key: str, value: Any) -> Setting:
    return Setting(key, value, "the defaults of axolotl", default=True)
