"""fp16 without ZeRO: DeepSpeed divides gradients by a loss scale that it has not multiplied the loss with."""

import os
import sys

os.environ.update(DS_ACCELERATOR="cpu", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")

import deepspeed
import torch
from deepspeed.accelerator import get_accelerator

if not get_accelerator().is_fp16_supported():  # torch computes in fp16 also where a CPU has no instructions for it
    type(get_accelerator()).is_fp16_supported = lambda _: True
torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__.split('+')[0]}")

module = torch.nn.Linear(4, 1, bias=False)
torch.nn.init.ones_(module.weight)
engine, *_ = deepspeed.initialize(
    model=module,
    optimizer=torch.optim.SGD(module.parameters(), lr=1.0),
    config={
        "train_micro_batch_size_per_gpu": 1,
        "fp16": {"enabled": True, "initial_scale_power": 8},
        "zero_optimization": {"stage": 0},
        "zero_allow_untested_optimizer": True,
    },
)


def weight():
    """The fp32 weight that the optimizer moves."""
    return next(iter(engine.optimizer.optimizer.param_groups[0]["params"])).detach().clone().view(1, 4)


before = weight()
engine.backward(engine(torch.full((1, 4), 0.5, dtype=torch.float16)).sum())  # the gradient of every weight is 0.5
engine.step()
moved = (before - weight()).mean().item()  # SGD at rate 1 moves each weight by its gradient
print(f"gradient that the optimizer got: {moved:.6f} (right: 0.500000)")
sys.stdout.flush()
os._exit(0 if abs(moved - 0.5) < 1e-3 else 1)  # gloo's threads may abort an interpreter that ends
