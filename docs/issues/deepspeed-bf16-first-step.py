"""bf16 without ZeRO: DeepSpeed makes an optimizer step before the first batch."""

import os
import sys

os.environ.update(DS_ACCELERATOR="cpu", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")

import deepspeed
import torch

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__.split('+')[0]}")

LR, DECAY = 0.1, 0.5
module = torch.nn.Linear(4, 1, bias=False)
start = torch.tensor([[1.0, -1.0, 2.0, -2.0]])
module.weight.data.copy_(start)
engine, *_ = deepspeed.initialize(
    model=module,
    optimizer=torch.optim.AdamW(module.parameters(), lr=LR, weight_decay=DECAY),
    config={
        "train_micro_batch_size_per_gpu": 1,
        "bf16": {"enabled": True},
        "zero_optimization": {"stage": 0},
        "zero_allow_untested_optimizer": True,
    },
)


def weight():
    """The fp32 weight that the optimizer moves."""
    return next(iter(engine.optimizer.optimizer.param_groups[0]["params"])).detach().clone().view(1, 4)


before = weight()
print(f"weight / initial weight, before any batch: {(before / start).mean():.4f} (right: 1.0000)")

engine.backward(engine(torch.ones(1, 4, dtype=torch.bfloat16)).sum())  # the gradient of every weight is 1
engine.step()
update = (before * (1 - LR * DECAY) - weight()) / LR  # Adam's first update is the sign of the gradient
print(f"Adam's first update / learning rate: {update.mean():.4f} (right: 1.0000)")
right = torch.allclose(before, start) and torch.allclose(update, torch.ones(1, 4), atol=1e-3)
sys.stdout.flush()
os._exit(0 if right else 1)  # gloo's threads may abort an interpreter that ends
