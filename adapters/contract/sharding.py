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
    replicas: int = 1
    """Groups of ranks that hold all shards each, as in hybrid sharding (HSDP); with 1 all ranks share them."""
    secondary: int = 1
    """Ranks that share a further copy of all parameters among them, from which each backward pass gathers these, as in
    hpZ of ZeRO++ or reshard_after_forward=N of FSDP2; with 1 there is none, and it gathers from all ranks."""
    offload_optimizer: bool = False
    offload_parameters: bool = False
    """Whether shards of parameters lie on the CPU, and are copied to the device for each forward and backward pass."""

    def check(self) -> None:
        """Raises ValueError, in one line, for what no run can have."""
        require(1 <= self.replicas <= 1024, "sharding.replicas", self.replicas, "1 to 1024")
        hybrid = self.replicas == 1 or self.strategy in ("fsdp", "fsdp1")
        require(hybrid, "sharding.replicas", self.replicas, f"1, as {self.strategy} shards over all ranks")
        require(1 <= self.secondary <= 1024, "sharding.secondary", self.secondary, "1 to 1024")
        copied = self.secondary == 1 or self.strategy == "zero3"
        require(copied, "sharding.secondary", self.secondary, f"1 with {self.strategy}: it is ZeRO 3 that has a copy")
        sharded = self.strategy in ("zero3", "fsdp", "fsdp1", "none")
        require(
            sharded or not self.offload_parameters,
            "sharding.offload_parameters",
            self.offload_parameters,
            f"false, as {self.strategy} keeps whole parameters on every device",
        )
