"""ZeRO makes torch's Adagrad anew: parameter groups are lost, and so is every learning rate but the default."""

import os
import sys

os.environ.update(DS_ACCELERATOR="cpu", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")

import deepspeed
import torch

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__.split('+')[0]}")


def first_updates(stage, rates):
    """How far one step of Adagrad moves each weight; each is a group of its own, with a rate of its own."""
    module = torch.nn.Sequential(*(torch.nn.Linear(1, 1, bias=False) for _ in rates))
    for layer in module:
        torch.nn.init.ones_(layer.weight)
    own = [{"params": layer.parameters(), "lr": rate} for layer, rate in zip(module, rates, strict=True)]
    engine, *_ = deepspeed.initialize(
        model=module,
        optimizer=torch.optim.Adagrad(own, lr=0.01),
        config={
            "train_micro_batch_size_per_gpu": 1,
            "zero_optimization": {"stage": stage},
            "zero_allow_untested_optimizer": True,
        },
    )
    try:
        engine.backward(engine(torch.ones(1, 1)).sum())
        engine.step()
    except IndexError as error:
        return f"IndexError: {error}"
    return [round(1 - layer.weight.item(), 4) for layer in module]


same = []
for rates in ([0.1], [0.1, 0.2]):
    for stage in (0, 1, 2, 3):
        got = first_updates(stage, rates)
        same.append(got == rates)
        print(f"{len(rates)} group(s), ZeRO {stage}: moved by {got} (right: {rates})")
sys.stdout.flush()
os._exit(0 if all(same) else 1)  # gloo's threads may abort an interpreter that ends
