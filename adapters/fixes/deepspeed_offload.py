"""DeepSpeed 0.15.2 to 0.18.9: with the optimizer offloaded, every micro-batch's gradient reaches it.

`async_accumulate_grad_in_cpu_via_gpu` (runtime/zero/stage_1_and_2.py) adds what lies on the CPU to the gradient of each
micro-batch after the first, but since PR 6550 the sum no longer goes back to the CPU: between the first and the last
micro-batch all are lost. Here the sum goes back, as it did up to 0.15.1 and does again from 0.19.0 on (PR 7967).
"""

from __future__ import annotations

from typing import Any

import deepspeed
from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer
from packaging.version import Version

OLDEST, NEWEST = Version("0.15.2"), Version("0.18.9")


def apply() -> None:
    """Change ZeRO's optimizer. Raises RuntimeError for another release of DeepSpeed."""
    if not OLDEST <= Version(Version(deepspeed.__version__).public) <= NEWEST:
        raise RuntimeError(f"deepspeed-offload is for deepspeed {OLDEST} to {NEWEST}, not {deepspeed.__version__}")
    accumulate = DeepSpeedZeroOptimizer.async_accumulate_grad_in_cpu_via_gpu

    def accumulate_and_keep(self: Any, param: Any) -> None:
        accumulate(self, param)
        # the first was copied already, and at the boundary the sum goes straight to the optimizer
        if self.micro_step_id > 0 and not self.is_gradient_accumulation_boundary:
            keep(self, param)

    DeepSpeedZeroOptimizer.async_accumulate_grad_in_cpu_via_gpu = accumulate_and_keep


def keep(optimizer: Any, param: Any) -> None:
    """Copy the sum so far to its buffer on the CPU, which holds a whole gradient or, with master weights in low
    precision, this rank's part of it alone."""
    number = optimizer.get_param_id(param)
    held = optimizer.accumulated_grads_in_cpu[number]
    total = optimizer.get_param_gradient_attribute(param).data.view(-1)
    if held.numel() != total.numel():
        _, begin, _, count = optimizer.grad_position[number]
        total = total.narrow(0, begin, count)
    held.data.view(-1).copy_(total, non_blocking=True)
