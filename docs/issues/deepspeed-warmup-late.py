"""A schedule in DeepSpeed's configuration gives its first rate to two steps, and is one step late from then on."""

import os
import sys

os.environ.update(DS_ACCELERATOR="cpu", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")

import deepspeed
import torch

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__.split('+')[0]}")

WARMUP, TOTAL, RATE = 2, 6, 1.0
module = torch.nn.Linear(1, 1, bias=False)
engine, optimizer, *_ = deepspeed.initialize(
    model=module,
    optimizer=torch.optim.SGD(module.parameters(), lr=RATE),
    config={
        "train_micro_batch_size_per_gpu": 1,
        "scheduler": {
            "type": "WarmupDecayLR",
            "params": {
                "warmup_min_lr": 0,
                "warmup_max_lr": RATE,
                "warmup_num_steps": WARMUP,
                "warmup_type": "linear",
                "total_num_steps": TOTAL,
            },
        },
    },
)
used = []
for _ in range(TOTAL):
    before = module.weight.item()
    engine.backward(engine(torch.ones(1, 1)).sum())  # the gradient is 1, so SGD moves by the learning rate
    engine.step()
    used.append(round(before - module.weight.item(), 4))

# The same by torch's own scheduler, whose rate of step k is the function at k.
other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
rate = torch.optim.lr_scheduler.LambdaLR(other, lambda k: min(k / WARMUP, (TOTAL - k) / (TOTAL - WARMUP)))
right = []
for _ in range(TOTAL):
    right.append(rate.get_last_lr()[0])
    other.step()
    rate.step()
print("rates that steps were made with:", *used)
print("right:                          ", *right)
sys.stdout.flush()
os._exit(0 if used == right else 1)  # gloo's threads may abort an interpreter that ends
