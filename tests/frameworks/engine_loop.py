"""A training loop as many write it, on an engine of one's choice. Nothing in it knows of Lockstep.

engine_loop.py ENGINE[@NAME,NAME]

With names, adapters of the layers' matrices that are called so are trained, and nothing else.
Every step is a mean over the trained tokens of all micro-batches and ranks. ENGINE+lost forgets the first half of them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

VOCABULARY, RATE, STEPS = 2000, 1e-3, 3
LENGTHS = ((9, 40, 6, 25), (14, 4, 31, 12))
"""Tokens of the one text of each micro-batch, by rank."""


def text(length: int, draw: torch.Generator) -> dict[str, Tensor]:
    ids = torch.randint(2, VOCABULARY, (1, length), generator=draw)
    labels = ids.clone()
    labels[:, :3] = -100
    return {"input_ids": ids, "labels": labels}


def ddp(model: nn.Module) -> nn.Module:
    return DistributedDataParallel(model)


def fsdp1(model: nn.Module, original: bool) -> nn.Module:
    from torch.distributed.fsdp import FullyShardedDataParallel as Wrapped
    from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

    policy = functools.partial(transformer_auto_wrap_policy, transformer_layer_cls={LlamaDecoderLayer})
    cpu = torch.device("cpu")
    return Wrapped(model, auto_wrap_policy=policy, use_orig_params=original, device_id=cpu)


def fsdp2(model: Any, copies: int = 1) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    whole = init_device_mesh("cpu", (copies, dist.get_world_size() // copies), mesh_dim_names=("copy", "shard"))
    mesh = whole if copies > 1 else whole["shard"]
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    sharded: nn.Module = fully_shard(model, mesh=mesh)
    return sharded


Parameters = Iterable[nn.Parameter]
Make = Callable[[Parameters], torch.optim.Optimizer]


def adamw(**how: bool) -> Make:
    return functools.partial(torch.optim.AdamW, lr=RATE, weight_decay=0.0, **how)


def redundancy(parameters: Parameters) -> torch.optim.Optimizer:
    from torch.distributed.optim import ZeroRedundancyOptimizer

    return ZeroRedundancyOptimizer(parameters, torch.optim.AdamW, lr=RATE, weight_decay=0.0)


def adafactor(parameters: Parameters) -> torch.optim.Optimizer:
    from transformers.optimization import Adafactor

    return Adafactor(parameters, lr=RATE, relative_step=False, beta1=0.9)


def eight_bit(parameters: Parameters) -> torch.optim.Optimizer:
    from bitsandbytes.optim import AdamW8bit

    return AdamW8bit(parameters, lr=RATE)


def muon(model: nn.Module) -> list[torch.optim.Optimizer]:
    """Of the layers' matrices; AdamW has the rest, as Muon's authors have it."""
    inner = {id(p) for layer in model.modules() if isinstance(layer, LlamaDecoderLayer) for p in layer.parameters()}
    mine = [p for p in model.parameters() if id(p) in inner and p.dim() == 2]
    rest = [p for p in model.parameters() if not (id(p) in inner and p.dim() == 2)]
    return [torch.optim.Muon(mine, lr=RATE), adamw()(rest)]


def halves(model: nn.Module) -> list[torch.optim.Optimizer]:
    every = list(model.parameters())
    return [adamw()(every[len(every) // 2 :]), adamw()(every[: len(every) // 2])]


def one(make: Make) -> Callable[[nn.Module], list[torch.optim.Optimizer]]:
    return lambda model: [make(model.parameters())]


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "fsdp1": functools.partial(fsdp1, original=True),
    "fsdp1-flat": functools.partial(fsdp1, original=False),
    "fsdp2": fsdp2,
    "hsdp": functools.partial(fsdp2, copies=2),
}
OPTIMIZERS: dict[str, Callable[[nn.Module], list[torch.optim.Optimizer]]] = {
    "fused": one(adamw(fused=True)),
    "foreach": one(adamw(foreach=True)),
    "redundancy": one(redundancy),
    "sgd": one(functools.partial(torch.optim.SGD, lr=RATE)),
    "momentum": one(functools.partial(torch.optim.SGD, lr=RATE, momentum=0.9)),
    "adafactor": one(adafactor),
    "eight-bit": one(eight_bit),
    "muon": muon,
    "halves": halves,
}


class Loop:
    """On torch alone."""

    def __init__(self, engine: str, model: nn.Module) -> None:
        wrapper, _, optimizer = engine.partition("+")
        self.model = WRAPPERS.get(wrapper, ddp)(model)
        self.lost = optimizer == "lost"
        self.optimizers = OPTIMIZERS.get(optimizer or wrapper, one(adamw()))(self.model)

    def step(self, batches: list[dict[str, Tensor]], count: float) -> None:
        for number, batch in enumerate(batches, 1):
            self.model(**batch, num_items_in_batch=count).loss.backward()
            if self.lost and 2 * number == len(batches):
                self.model.zero_grad()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()


class DeepSpeed:
    """`zero1`, `zero2-bf16` and so on."""

    def __init__(self, engine: str, model: nn.Module) -> None:
        import deepspeed

        # On a CPU every first start compiles, for a minute, an operator for inference.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        config: dict[str, Any] = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": len(LENGTHS[0]),
            "zero_optimization": {"stage": int(engine[4])},
            "bf16": {"enabled": "bf16" in engine},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
        }
        if "offload" in engine:
            config["zero_optimization"]["offload_optimizer"] = {"device": "cpu"}
        if "sums" in engine:  # of gradients in fp32, by an optimizer of its own
            config["data_types"] = {"grad_accum_dtype": "fp32"}
        trained = [p for p in model.parameters() if p.requires_grad]
        every = [[p for p in trained if p.dim() > 1], [p for p in trained if p.dim() == 1]]
        groups = [{"params": parameters} for parameters in every if parameters]
        make: Any = functools.partial(torch.optim.SGD, lr=RATE) if "sgd" in engine else adamw()
        self.model = deepspeed.initialize(model=model, optimizer=make(groups), config=config)[0]

    def step(self, batches: list[dict[str, Tensor]], count: float) -> None:
        for batch in batches:
            self.model.backward(self.model(**batch, num_items_in_batch=count).loss * len(batches))
            self.model.step()


class Adapted(nn.Module):
    """A frozen linear layer with two small trained ones beside it, as LoRA has it."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Linear(base.in_features, 8, bias=False)
        self.up = nn.Linear(8, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.base(x) + self.up(self.down(x)) * 0.5
        return result


def adapt(model: nn.Module, names: list[str]) -> None:
    model.requires_grad_(False)
    for place in [name for name, _ in model.named_modules() if name.rpartition(".")[2] in names]:
        parent, _, own = place.rpartition(".")
        base: Any = model.get_submodule(place)
        setattr(model.get_submodule(parent), own, Adapted(base))


def main(given: str) -> None:
    engine, _, names = given.partition("@")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, pad_token_id=0, eos_token_id=1,
        )
    ).train()  # fmt: skip
    if names:
        adapt(model, names.split(","))
    loop = (DeepSpeed if engine.startswith("zero") else Loop)(engine, model)
    trained = sum(length - 3 for lengths in LENGTHS[:world] for length in lengths)
    for step in range(STEPS):
        batches = [text(length, torch.Generator().manual_seed(100 * step + length)) for length in LENGTHS[rank]]
        loop.step(batches, trained / world)
    local = [getattr(p, "ds_tensor", p).detach() for p in loop.model.parameters()]
    whole = b"".join((p.to_local() if hasattr(p, "to_local") else p).float().numpy().tobytes() for p in local)
    os.write(1, f"parameters {hashlib.sha256(whole).hexdigest()}\n".encode())  # whole: the other rank writes too
    dist.barrier()
    os._exit(0)  # gloo's threads may abort a process that is torn down while another one is gone


if __name__ == "__main__":
    main(sys.argv[1])
