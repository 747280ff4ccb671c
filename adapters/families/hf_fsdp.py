"""FSDP below the Trainer of Hugging Face, as accelerate drives it: its options, and what makes it run on a CPU."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

import torch

from adapters.contract import Scenario, Shim
from adapters.inside import flat

VERSIONS = {"fsdp": 2, "fsdp1": 1}
"""accelerate's number of an FSDP, by the scenario's `sharding`."""

ON_A_CPU = Shim(
    "fsdp-on-a-cpu",
    "accelerate shards for ranks on GPUs alone, and without a word wraps the model in DDP where they are on CPUs"
    " (AcceleratorState in accelerate's state.py): it takes the ranks of a CPU for those of GPUs, with gloo",
)

DEVICES_OF_A_NODE = Shim(
    "devices-of-a-node",
    "FSDP1's hybrid_shard shards within a node and replicates between nodes, and asks how many devices a node has,"
    " which is 1 for a CPU (_init_intra_and_inter_node_groups in torch's _init_utils.py): it is told as many as shall"
    " share the shards",
)


def unsupported(scenario: Scenario, framework: str) -> str | None:
    """Why FSDP below the Trainer of this environment cannot run the scenario; None if it can, or if nobody asks."""
    wanted = scenario.sharding
    if wanted.strategy not in VERSIONS:
        return None
    if scenario.window.ranks == 1:
        return (
            f"{framework} has FSDP on several ranks only (Trainer.__init__), so no sharding={wanted.strategy!r} on one"
        )
    if scenario.precision.masters == "none":
        return f"{framework} has no masters='none' with FSDP yet"
    if scenario.window.resume_after and flat.cannot_save(scenario):
        return f"{framework} has no resume_after with FSDP1 on a CPU: torch frees what a checkpoint is made of"
    if wanted.replicas > 1 and wanted.strategy == "fsdp" and not _replicates():
        return (
            f"{framework} has no sharding.replicas={wanted.replicas} with accelerate {version('accelerate')}, whose"
            " ParallelismConfig lacks the sp_backend that the Trainer asks it for"
        )
    return None


def _replicates() -> bool:
    """Whether the Trainer can be given groups of ranks."""
    from accelerate import utils

    return hasattr(getattr(utils, "ParallelismConfig", None), "sp_backend")


def shims(scenario: Scenario) -> list[Shim]:
    """What is changed in accelerate for FSDP."""
    if scenario.sharding.strategy not in VERSIONS or scenario.device != "cpu":
        return []
    flat = scenario.sharding.strategy == "fsdp1" and scenario.sharding.replicas > 1
    return [ON_A_CPU, *([DEVICES_OF_A_NODE] if flat else [])]


def apply(scenario: Scenario) -> None:
    """Do what the shims say, in this process. The device is told by a variable of accelerate's own."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    found = shims(scenario)
    if ON_A_CPU in found:
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
        PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    if DEVICES_OF_A_NODE in found:
        torch.cpu.device_count = lambda: scenario.window.ranks // scenario.sharding.replicas
    _replicate(scenario)


def _replicate(scenario: Scenario) -> None:
    """Ask for replicas as `accelerate launch` does of its configuration: by variables.

    The Trainer's own `--fsdp hybrid_shard` is lost: it becomes `reshard_after_forward`, which FSDP1 takes where no
    `sharding_strategy` is set, and accelerate has set that to FULL_SHARD (FullyShardedDataParallelPlugin in
    utils/dataclasses.py of 1.11 to 1.15).
    """
    if scenario.sharding.replicas == 1:
        return
    if scenario.sharding.strategy == "fsdp1":
        os.environ["FSDP_SHARDING_STRATEGY"] = "HYBRID_SHARD"
    else:
        os.environ["ACCELERATE_USE_PARALLELISM_CONFIG"] = "true"
        os.environ["PARALLELISM_CONFIG_DP_REPLICATE_SIZE"] = str(scenario.sharding.replicas)
        os.environ["PARALLELISM_CONFIG_DP_SHARD_SIZE"] = str(scenario.window.ranks // scenario.sharding.replicas)


def arguments(scenario: Scenario) -> dict[str, Any]:
    """As TrainingArguments. All ranks load the same checkpoint, so that nothing has to be sent to others first, which
    accelerate has for GPUs alone (`sync_module_states`)."""
    if scenario.sharding.strategy not in VERSIONS:
        return {}
    return {
        "fsdp": "full_shard auto_wrap",
        "fsdp_config": {"fsdp_version": VERSIONS[scenario.sharding.strategy], "sync_module_states": False},
    }
