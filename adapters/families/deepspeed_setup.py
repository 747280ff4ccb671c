"""What comes before DeepSpeed's engine, whoever drives it: its stages, late imports, and what its launcher would set.

Nothing here imports DeepSpeed: frameworks that can do without it ask as well.
"""

from __future__ import annotations

import math
import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from adapters.contract import Scenario

STAGES = {"none": 0, "zero1": 1, "zero2": 2, "zero3": 3}
"""ZeRO's stage by the scenario's `sharding`."""

INSTALLED = find_spec("deepspeed") is not None

MUON = "deepspeed.runtime.zero.muon"


def zero(scenario: Scenario) -> dict[str, Any]:
    """The part of DeepSpeed's configuration that says what is sharded, and what lies on the CPU."""
    offloaded = {
        "offload_optimizer": scenario.sharding.offload_optimizer,
        "offload_param": scenario.sharding.offload_parameters,
    }
    on_cpu = {name: {"device": "cpu"} for name, wanted in offloaded.items() if wanted}
    secondary = scenario.sharding.secondary
    # parameters this small would stay whole on every rank, and nothing would be gathered from the copy
    copied = {"zero_hpz_partition_size": secondary, "stage3_param_persistence_threshold": 0}
    return {"stage": STAGES[scenario.sharding.strategy], **on_cpu, **(copied if secondary > 1 else {})}


def check_secondary(model: Any, scenario: Scenario) -> None:
    """Raises RuntimeError where a model's parameters have no second copy among as many ranks as the scenario asks for.

    The copy itself is there between a forward pass and the next step (`invalidate_secondary_tensor` in stage3.py).
    """
    wanted = scenario.sharding.secondary
    for name, p in model.named_parameters():
        among = getattr(p, "ds_zero_param_process_group", None)
        found = 1 if among is None else p.ds_secondary_tensor_group_size
        if wanted > 1 and found != wanted:
            raise RuntimeError(f"{name} should have a second copy among {wanted} ranks, and has one among {found}")


def unsupported(scenario: Scenario) -> str | None:
    """The field that no ZeRO stage has together with the scenario's, and why; None if there is none."""
    if scenario.sharding.offload_optimizer and scenario.sharding.strategy == "none":
        return "offload_optimizer=True only with a ZeRO stage, not with sharding.strategy='none'"
    if scenario.window.resume_ranks and scenario.sharding.strategy != "none":
        return (
            "resume_ranks without ZeRO only: its checkpoints are loaded on as many ranks as have saved them"
            " (_load_zero_checkpoint in runtime/engine.py), and universal ones are not driven yet"
        )
    if scenario.sharding.offload_parameters and scenario.sharding.strategy != "zero3":
        return f"offload_parameters=True only with ZeRO stage 3, not with strategy={scenario.sharding.strategy!r}"
    if scenario.optimizer.kind == "adagrad" and scenario.sharding.strategy != "none":
        return (
            "no optimizer.kind='adagrad' with ZeRO, which makes torch's Adagrad anew, with one group of all parameters"
            " and the defaults' decay, and ends in an IndexError with the second group (initialize_optimizer_states in"
            " runtime/zero/stage_1_and_2.py and stage3.py)"
        )
    return None


def precision(scenario: Scenario) -> dict[str, Any]:
    """The parts of DeepSpeed's configuration that say what is computed in.

    The scale of a loss is halved by every step that overflows, where DeepSpeed by default lets the first one pass
    (hysteresis 2, runtime/precision_config.py).
    """
    if scenario.precision.compute != "fp16":
        coarse = {"bf16_master_weights_and_grads": True, "bf16_optimizer_states": True}
        alone = coarse if scenario.precision.masters == "none" else {}
        return {"bf16": {"enabled": scenario.precision.compute == "bf16", **alone}, **reduction(scenario)}
    return {
        "fp16": {"enabled": True, "initial_scale_power": int(math.log2(scenario.precision.loss_scale)), "hysteresis": 1}
    }


def reduction(scenario: Scenario) -> dict[str, str]:
    """What gradients are reduced in, where the scenario says it."""
    wanted = scenario.precision.reduction
    return {} if wanted == "own" else {"communication_data_type": wanted}


def prepare() -> None:
    """Import what `deepspeed.initialize` would: it asks whether an optimizer is one of those made for ZeRO, for which
    releases with Muon import that (runtime/zero/utils.py), whose `@torch.compile` takes 500 modules of torch and
    seconds. Nothing where DeepSpeed is not installed.
    """
    if INSTALLED and find_spec(MUON):
        import_module(f"{MUON}.muon_optimizer")


def set_local_size() -> None:
    """Set LOCAL_SIZE, as DeepSpeed's own launcher does.

    ZeRO 3 of 0.15.1 otherwise asks `numactl` for the number of ranks (accelerator/cpu_accelerator.py).
    """
    os.environ["LOCAL_SIZE"] = os.environ["LOCAL_WORLD_SIZE"]
