"""Where parameters, gradients and optimizer state of a scenario lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import require

Strategy = Literal["none", "zero1", "zero2", "zero3", "fsdp", "fsdp1"]


@dataclass(frozen=True)
class Sharding:
    strategy: Strategy = "none"
    """`none` asks for nothing: a framework that always shards does it in its own way. `fsdp` is FSDP2 (fully_shard)
    where a framework has both, `fsdp1` FullyShardedDataParallel."""
    offload_optimizer: bool = False
    offload_parameters: bool = False
    """Whether shards of parameters lie on the CPU, and are copied to the device for each forward and backward pass."""

    def check(self) -> None:
        """Raises ValueError, in one line, for what no run can have."""
        sharded = self.strategy in ("zero3", "fsdp", "fsdp1", "none")
        require(
            sharded or not self.offload_parameters,
            "sharding.offload_parameters",
            self.offload_parameters,
            f"false, as {self.strategy} keeps whole parameters on every device",
        )
