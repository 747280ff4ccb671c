"""FSDP1: the sharding that is asked for by `reshard_after_forward` is not the one that accelerate uses."""

import accelerate
import torch
from accelerate import FullyShardedDataParallelPlugin

print(f"accelerate {accelerate.__version__}, torch {torch.__version__.split('+')[0]}")
same = []
for asked in ("FULL_SHARD", "SHARD_GRAD_OP", "HYBRID_SHARD", "NO_SHARD"):
    plugin = FullyShardedDataParallelPlugin(fsdp_version=1, reshard_after_forward=asked)
    # prepare_model in accelerator.py gives FSDP this one
    used = plugin.sharding_strategy or plugin.reshard_after_forward
    same.append(used.name == asked)
    print(f"reshard_after_forward={asked!r}: FSDP gets {used.name} (right: {asked})")
raise SystemExit(0 if all(same) else 1)
