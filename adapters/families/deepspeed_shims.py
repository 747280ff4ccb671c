"""What is changed in DeepSpeed so that it runs and can be read here, whoever drives its engine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import deepspeed
import torch
from deepspeed.accelerator import get_accelerator
from packaging.version import Version

from adapters.contract import Compute, Scenario, Shim
from adapters.families.deepspeed_setup import STAGES

STEP_WITHOUT_AUTOGRAD = Shim(
    "step-without-autograd",
    "ZeRO's optimizers update views made by torch.split in place, which torch 2.13 refuses while autograd is on; "
    "DeepSpeed < 0.19 leaves it on in DeepSpeedEngine.step (runtime/engine.py)",
)
RELINK_MOMENTS = Shim(
    "relink-moments",
    "ZeRO 1 and 2 link the moments to the parameters after the first parameter group's first step, when the other "
    "groups have none, and never again (_optimizer_step in runtime/zero/stage_1_and_2.py, 0.15.1 to 0.19.8): "
    "safe_get_full_optimizer_state then finds nothing. Linked again before reading; the training is not touched",
)
WITHOUT_SHM_OP = Shim(
    "without-shm-op",
    "on a CPU every init_distributed compiles, for a minute, an operator for all-reduces of inference (comm/torch.py); "
    "it is marked as not compatible, so that there is none, as on any other device. Training does not call it",
)
FP16_ON_A_CPU = Shim(
    "fp16-on-a-cpu",
    "DeepSpeed asks oneDNN whether a CPU has instructions for fp16 (accelerator/cpu_accelerator.py)"
    " and refuses to train in it otherwise; torch computes in it all the same, slowly: it is told that there are",
)
GATHERS_ARE_WAITED_FOR = Shim(
    "gathers-are-waited-for",
    "ZeRO 3 gathers several parameters and waits for the last alone (_allgather_params_coalesced in"
    " runtime/zero/partition_parameters.py, before 0.19.8: PR 8539): right on CUDA, whose stream keeps the order; over"
    " gloo others may not be there yet, and what is loaded or computed is garbage now and then. Each is waited for",
)
SHM_OP = "deepspeed_shm_comm"


def needed(version: str, scenario: Scenario) -> list[Shim]:
    """What this release of DeepSpeed (not of what drives it) needs changed for this scenario."""
    stage = STAGES[scenario.sharding.strategy]
    found = running(version, stage, scenario.precision.compute)
    return [*found, RELINK_MOMENTS] if stage in (1, 2) else found


def running(version: str, stage: int, compute: Compute) -> list[Shim]:
    """Of these, what makes it run; the others make it readable."""
    on_a_cpu = get_accelerator().device_name() == "cpu"
    found = [WITHOUT_SHM_OP] if on_a_cpu else []
    if on_a_cpu and compute == "fp16" and not get_accelerator().is_fp16_supported():
        found.append(FP16_ON_A_CPU)
    if Version(version) < Version("0.19") and stage > 0:
        found.append(STEP_WITHOUT_AUTOGRAD)
    if on_a_cpu and Version(version) < Version("0.19.8") and stage == 3:
        found.append(GATHERS_ARE_WAITED_FOR)
    return found


def apply(shims: Sequence[Shim]) -> None:
    """Change DeepSpeed's classes in this process. `RELINK_MOMENTS` is the reader's to do, after the first step."""
    if WITHOUT_SHM_OP in shims:
        deepspeed.ops.__compatible_ops__[SHM_OP] = False
    if FP16_ON_A_CPU in shims:
        type(get_accelerator()).is_fp16_supported = lambda _: True
    if GATHERS_ARE_WAITED_FOR in shims:
        for name in ("all_gather_into_tensor", "all_gather"):
            setattr(deepspeed.comm, name, _waited_for(getattr(deepspeed.comm, name)))
    if STEP_WITHOUT_AUTOGRAD in shims:
        deepspeed.DeepSpeedEngine.step = torch.no_grad()(deepspeed.DeepSpeedEngine.step)


def _waited_for(gather: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(gather)
    def waited(*args: Any, **kwargs: Any) -> Any:
        if (handle := gather(*args, **kwargs)) is not None:
            handle.wait()
        return handle

    return waited
