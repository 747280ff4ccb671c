"""FSDP below the Trainer of Hugging Face, as accelerate drives it: its options, and what makes it run on a CPU."""

from __future__ import annotations

import inspect
import os
import re
from importlib.metadata import version
from typing import Any

import torch
from packaging.version import Version
from transformers import training_args

from adapters.contract import Scenario, Shim
from adapters.inside import flat

VERSIONS = {"fsdp": 2, "fsdp1": 1}
"""accelerate's number of an FSDP, by the scenario's `sharding`."""

DRIVEN = Version("4.54")
"""The oldest transformers that were seen to shard here: 4.49.0 hands a callback no model that is sharded, and 4.53.1 an
optimizer that accelerate has not wrapped."""

SETS_STRATEGY = re.compile(r"""\["sharding_strategy"\]|\{prefix\}SHARDING_STRATEGY""")
"""Where the Trainer hands accelerate a strategy of FSDP1, which counts for more than the variable of `_replicate`."""

ON_A_CPU = Shim(
    "fsdp-on-a-cpu",
    "accelerate shards for ranks on GPUs alone, and without a word wraps the model in DDP where they are on CPUs"
    " (AcceleratorState in accelerate's state.py): it takes the ranks of a CPU for those of GPUs, with gloo",
)

DEVICES_OF_A_NODE = Shim(
    "devices-of-a-node",
    "FSDP1's HYBRID_SHARD shards within a node and replicates between nodes, and asks how many devices a node has,"
    " which is 1 for a CPU (_init_intra_and_inter_node_groups in torch's _init_utils.py): it is told as many as shall"
    " share them",
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
    if wanted.offload_optimizer:
        return (
            f"{framework} has no offload_optimizer=True with FSDP, which offloads parameters and their optimizer alike"
            " (CPUOffload in torch.distributed.fsdp)"
        )
    if wanted.offload_parameters:
        return f"{framework} is not yet driven with offload_parameters=True and FSDP"
    if scenario.window.resume_ranks:
        return f"{framework} is not yet driven with window.resume_ranks={scenario.window.resume_ranks} and FSDP"
    if scenario.window.resume_after and flat.cannot_save(scenario):
        return f"{framework} has no resume_after with FSDP1 on a CPU: torch frees what a checkpoint is made of"
    return _unsupported_release(scenario, framework)


def _unsupported_release(scenario: Scenario, framework: str) -> str | None:
    """What the installed transformers and accelerate do not hand on, or not as this adapter asks for it."""
    wanted, source = scenario.sharding, inspect.getsource(training_args)
    release = f"transformers {version('transformers')}"
    if Version(version("transformers")) < DRIVEN:
        return f"{framework} is not yet driven with FSDP on {release}, but from {DRIVEN} on"
    if wanted.strategy == "fsdp" and '"fsdp_version"' not in source:
        return (
            f"{framework} has no sharding='fsdp': {release} hands accelerate no version of FSDP (training_args.py), so"
            " that it takes FSDP1"
        )
    if wanted.replicas == 1:
        return None
    if wanted.strategy == "fsdp1" and SETS_STRATEGY.search(source):
        return (
            f"{framework} is not yet driven with sharding.replicas={wanted.replicas} and FSDP1 on {release}, which sets"
            " accelerate's sharding_strategy by itself (training_args.py)"
        )
    if wanted.strategy == "fsdp" and not _replicates():
        return (
            f"{framework} has no sharding.replicas={wanted.replicas} with accelerate {version('accelerate')}, which has"
            " no ParallelismConfig with the sp_backend that later releases of the Trainer ask it for"
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
    hybrid = scenario.sharding.strategy == "fsdp1" and scenario.sharding.replicas > 1
    return [ON_A_CPU, *([DEVICES_OF_A_NODE] if hybrid else [])]


def apply(scenario: Scenario) -> None:
    """Do what the shims say, in this process. The device is told by a variable of accelerate's own."""
    found = shims(scenario)
    if ON_A_CPU in found:
        shard_on_the_cpu()
    if DEVICES_OF_A_NODE in found:
        torch.cpu.device_count = lambda: scenario.window.ranks // scenario.sharding.replicas
    _replicate(scenario)


def shard_on_the_cpu() -> None:
    """Do what `ON_A_CPU` says, in this process."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)


def _replicate(scenario: Scenario) -> None:
    """Ask for replicas as `accelerate launch` does of its configuration: by variables.

    The Trainer's own `--fsdp hybrid_shard` is lost from transformers 5.4 on: it becomes `reshard_after_forward`, which
    FSDP1 takes where no `sharding_strategy` is set, and accelerate has set that to FULL_SHARD
    (FullyShardedDataParallelPlugin in utils/dataclasses.py of 1.11 to 1.15). Up to 5.2 it becomes `sharding_strategy`
    itself, and the variable is not heard (`SETS_STRATEGY`).
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
