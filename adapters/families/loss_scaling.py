"""Mixed precision by torch's own autocast and GradScaler, for loops that PyTorch users write."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

from adapters.contract import STATE, OptimizerKind, Scenario

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""What a precision other than float32 computes in."""

NEVER = 1_000_000
"""Steps after which the scale would grow again: more than any scenario has."""


def unsupported(scenario: Scenario, name: str) -> str | None:
    """Why a loop of ours that goes on from a checkpoint cannot scale its loss."""
    if scenario.precision.compute == "fp16" and scenario.window.resume_after:
        return f"{name} has no resume_after with compute='fp16': its checkpoint does not hold the loss scale yet"
    return None


def scaler(scenario: Scenario) -> torch.amp.GradScaler:
    """One that begins with the scenario's scale; for other precisions one that does nothing.

    Of FSDP1's shards, which know nothing of each other, one that asks the other ranks for overflows.
    """
    kind = ShardedGradScaler if scenario.sharding.strategy == "fsdp1" else torch.amp.GradScaler
    return kind(
        scenario.device,
        init_scale=scenario.precision.loss_scale,
        growth_interval=NEVER,
        enabled=scenario.precision.compute == "fp16",
    )


def kept(scenario: Scenario) -> torch.dtype:
    """What parameters, and with them the optimizer's state, are kept in."""
    return torch.float32 if scenario.precision.masters == "fp32" else DTYPES[scenario.precision.compute]


def autocast(scenario: Scenario) -> torch.autocast:
    """Computes in the scenario's precision within it, from parameters that stay in float32."""
    mixed = scenario.precision.compute != "fp32" and scenario.precision.masters == "fp32"
    return torch.autocast(scenario.device, DTYPES.get(scenario.precision.compute, torch.bfloat16), enabled=mixed)


def moments(optimizer: torch.optim.Optimizer, parameter: Tensor, kind: OptimizerKind = "adamw") -> dict[str, Tensor]:
    """Those of a parameter: zero as long as every step was skipped."""
    nothing = {name: torch.zeros_like(parameter) for name in STATE[kind]}
    return {**nothing, **optimizer.state.get(parameter, {})}
