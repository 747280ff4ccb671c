"""FSDP2: a sharded checkpoint of an optimizer is read, and nothing of it is loaded."""

import os
import sys
import tempfile

import accelerate
import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.utils import load_fsdp_optimizer, save_fsdp_optimizer
from torch.distributed.fsdp import fully_shard

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
print(f"accelerate {accelerate.__version__}, torch {torch.__version__.split('+')[0]}")
plugin = FullyShardedDataParallelPlugin(fsdp_version=2, state_dict_type="SHARDED_STATE_DICT")
accelerator, folder = Accelerator(cpu=True), tempfile.mkdtemp()
mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))


def made():
    torch.manual_seed(0)
    model = fully_shard(torch.nn.Linear(4, 4, bias=False), mesh=mesh)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def held(optimizer):
    return [float(entry["exp_avg"].full_tensor().norm()) for entry in optimizer.state.values()]


model, optimizer = made()
model(torch.ones(2, 4)).sum().backward()
optimizer.step()
right = held(optimizer)
save_fsdp_optimizer(plugin, accelerator, optimizer, model, folder)

model, optimizer = made()  # as in the process that goes on
load_fsdp_optimizer(plugin, accelerator, optimizer, model, folder)
loaded = held(optimizer)
print(f"lengths of the first moments that were loaded: {loaded} (right: {right})")
sys.stdout.flush()
os._exit(0 if loaded == right else 1)  # gloo's threads may abort an interpreter that ends
