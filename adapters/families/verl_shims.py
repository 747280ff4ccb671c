"""What verl's trainers need on a CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import _init_utils, sharded_grad_scaler

from adapters.contract import Shim

MEMORY = Shim(
    "no-device-memory",
    "verl empties the device's cache and logs how much of its memory is in use, which torch.cpu has no functions for"
    " (utils/memory_utils.py, utils/debug/performance.py in 0.5.0, workers/engine_workers.py), and how fast a device of"
    " its name is (utils/flops_counter.py in 0.5.0): they are added, do nothing and say 0, or cpu",
)
RANDOM_STATE = Shim(
    "cpu-random-state",
    "verl saves the state of the device's random numbers and loads it again, which torch.cpu has no functions for"
    " (utils/checkpoint/checkpoint_manager.py): they are torch's own for the CPU",
)
LOG_SOFTMAX = Shim(
    "autocast-log-softmax",
    "without flash attention, verl's log-probabilities are F.log_softmax (utils/torch_functional.py), which torch's"
    " autocast computes in float32 on CUDA but not on a CPU: it does so here as well, where autocast is on and no dtype"
    " is asked for",
)

SCALER = Shim(
    "cpu-scaler",
    "verl makes the scaler of an fp16 loss for CUDA (ShardedGradScaler in workers/engine/fsdp/transformer_impl.py), and"
    " torch turns such a one off where there is no CUDA: it is made for the CPU",
)

SYNC = Shim(
    "fsdp1-sync-on-a-cpu",
    "verl loads the checkpoint on the first rank and lets FSDP1 send it to the others (sync_module_states in"
    " workers/engine/fsdp/transformer_impl.py), which torch refuses for what is on a CPU, for the sake of NCCL"
    " (_init_utils.py in torch.distributed.fsdp): it does not look, and gloo sends it",
)

UNPINNED = Shim(
    "reference-not-pinned",
    "verl keeps a reference model's parameters in pinned memory (CPUOffloadPolicy in workers/fsdp_workers.py and"
    " workers/engine/fsdp/transformer_impl.py), which torch has none of where there is no CUDA: in memory that is not",
)


def fixed(call: Callable[..., Any], **values: Any) -> Callable[..., Any]:
    """`call` with these keyword arguments, whatever it is called with."""
    return lambda *args, **kwargs: call(*args, **{**kwargs, **values})


def do_not_pin(module: Any) -> None:
    """Do what `UNPINNED` says, in what that module of verl makes from now on."""
    module.CPUOffloadPolicy = fixed(module.CPUOffloadPolicy, pin_memory=False)


def sync_on_the_cpu() -> None:
    """Do what `SYNC` says, in this process."""
    module: Any = _init_utils
    module._check_module_states_for_sync_module_states = lambda _: None


def scale_on_the_cpu() -> None:
    """Do what `SCALER` says, in this process."""
    module: Any = sharded_grad_scaler
    module.ShardedGradScaler = functools.partial(module.ShardedGradScaler, "cpu")


def give_the_cpu_memory_figures() -> None:
    """Do what `MEMORY` says, in this process."""
    device: Any = torch.cpu
    figures = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved", "empty_cache")
    for name in figures:
        setattr(device, name, lambda: 0)
    device.mem_get_info = lambda: (0, 0)  # free, total
    device.get_device_name = lambda: "cpu"


def leave_autocast_off() -> None:
    """What a shim for full precision does where the dtype stands in an autocast, in this process."""
    whole: Any = torch
    whole.autocast = functools.partial(torch.autocast, enabled=False)


def give_the_cpu_random_state() -> None:
    """Do what `RANDOM_STATE` says, in this process."""
    for name in ("get_rng_state", "set_rng_state"):
        setattr(torch.cpu, name, getattr(torch, name))


def autocast_log_softmax_as_on_cuda() -> None:
    """Do what `LOG_SOFTMAX` says, in this process.

    Which operations autocast computes in float32: https://docs.pytorch.org/docs/stable/amp.html
    """
    log_softmax = torch.nn.functional.log_softmax

    def as_on_cuda(
        input: Tensor,  # noqa: A002  torch's own names
        dim: int | None = None,
        _stacklevel: int = 3,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        if dtype is None and torch.is_autocast_enabled("cpu"):
            dtype = torch.float32
        return log_softmax(input, dim, _stacklevel, dtype)

    torch.nn.functional.log_softmax = as_on_cuda
