"""ZeRO 2 with the optimizer offloaded: micro-batches between the first and the last never reach the optimizer."""

import os
import sys

os.environ.update(DS_ACCELERATOR="cpu", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")

import deepspeed
import torch

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__.split('+')[0]}")
SEVERAL = 4


def moved(offload):
    """How far one step of SGD at rate 1 moves weight i, which micro-batch i alone reads."""
    module = torch.nn.Linear(SEVERAL, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    engine, *_ = deepspeed.initialize(
        model=module,
        optimizer=torch.optim.SGD(module.parameters(), lr=1.0),
        config={
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": SEVERAL,
            "zero_optimization": {"stage": 2, **({"offload_optimizer": {"device": "cpu"}} if offload else {})},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
        },
    )
    for row in torch.eye(SEVERAL):
        engine.backward(engine(row[None]).sum())
        engine.step()
    return [round(abs(w), 4) for w in engine.module.weight.flatten().tolist()]


plain, offloaded = moved(False), moved(True)
print("weights moved by, without offload:", *plain)
print("weights moved by, with offload:   ", *offloaded, "(right: 0.25 each)")
sys.stdout.flush()
os._exit(0 if offloaded == [0.25] * SEVERAL else 1)  # gloo's threads may abort an interpreter that ends
