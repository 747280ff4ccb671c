"""FSDP below the Trainer of Hugging Face, as accelerate drives it: its options, and what makes it run on a CPU."""

from __future__ import annotations

import os
from typing import Any

from adapters.contract import Scenario, Shim

VERSIONS = {"fsdp": 2, "fsdp1": 1}
"""accelerate's number of an FSDP, by the scenario's `sharding`."""

ON_A_CPU = Shim(
    "fsdp-on-a-cpu",
    "accelerate shards for ranks on GPUs alone, and without a word wraps the model in DDP where they are on CPUs"
    " (AcceleratorState in accelerate's state.py): it takes the ranks of a CPU for those of GPUs, with gloo",
)


def shims(scenario: Scenario) -> list[Shim]:
    """What is changed in accelerate for FSDP."""
    return [ON_A_CPU] if scenario.sharding.strategy in VERSIONS and scenario.device == "cpu" else []


def apply() -> None:
    """Do what `ON_A_CPU` says, in this process. The device is told by a variable of accelerate's own."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)


def arguments(scenario: Scenario) -> dict[str, Any]:
    """As TrainingArguments. All ranks load the same checkpoint, so that nothing has to be sent to others first, which
    accelerate has for GPUs alone (`sync_module_states`)."""
    if scenario.sharding.strategy not in VERSIONS:
        return {}
    return {
        "fsdp": "full_shard auto_wrap",
        "fsdp_config": {"fsdp_version": VERSIONS[scenario.sharding.strategy], "sync_module_states": False},
    }
