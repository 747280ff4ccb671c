"""`torchrun -m harness.trial.fsdp2`: a training in bfloat16 with FSDP2, whose step times and memory are printed.

`make gpu-check` records it. Nothing in it knows of the recorder.
"""

from __future__ import annotations

import argparse
import os
import time

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from harness.trial.model import Decoder, Size, window


def main() -> None:
    """Train, and print what each step took on rank 0."""
    parser = argparse.ArgumentParser(description="A training in bfloat16 with FSDP2.")
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--vocabulary", type=int, default=64_000)
    parser.add_argument("--tokens", type=int, default=2048, help="of a micro-batch")
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    size = Size(options.width, options.layers, options.vocabulary)
    device = _device()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    model = _sharded(Decoder(size), device, ranks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    told = f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters on {ranks} {device.type} ranks"
    for step in range(options.steps):
        begun = time.perf_counter()
        micro_batches = window(size, 2, options.tokens, step * ranks + rank)
        tokens = ranks * sum(int((labels[:, 1:] != -100).sum()) for _, labels in micro_batches)
        for ids, labels in micro_batches:
            # FSDP averages over ranks.
            (model(ids.to(device), labels.to(device)) * ranks / tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if rank == 0:
            print(f"step {step}: {time.perf_counter() - begun:.3f} s, {_memory(device)}{told}", flush=True)
    dist.destroy_process_group()


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def _sharded(model: Decoder, device: torch.device, ranks: int) -> Decoder:
    model.to(device).train()
    mesh = init_device_mesh(device.type, (ranks,))
    precision = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for module in (*model.layers, model):
        fully_shard(module, mesh=mesh, mp_policy=precision)
    return model


def _memory(device: torch.device) -> str:
    return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB, " if device.type == "cuda" else ""


if __name__ == "__main__":
    main()
