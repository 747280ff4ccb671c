"""A training on two ranks, its model sharded by FSDP2. Nothing in it knows of Lockstep."""

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import LlamaConfig, LlamaForCausalLM

LENGTHS = (9, 30, 14)

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=1201, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, pad_token_id=0, eos_token_id=2,
)  # fmt: skip
model = LlamaForCausalLM(config).train()
mesh = init_device_mesh("cpu", (world,))
for layer in model.model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
draw = torch.Generator().manual_seed(1 + rank)
for _ in range(2):
    for length in LENGTHS:
        ids = torch.randint(3, 1201, (1, length), generator=draw)
        labels = ids.clone()
        labels[:, :4] = -100
        logits = model(input_ids=ids, labels=labels).logits[0, :-1]
        trained = world * sum(length - 4 for length in LENGTHS)
        loss = torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum") / trained
        (world * loss).backward()  # FSDP averages over the ranks
    optimizer.step()
    optimizer.zero_grad()
dist.destroy_process_group()
