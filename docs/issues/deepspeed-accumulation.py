"""Where a model returns its loss in a dict, DeepSpeed divides by gradient_accumulation_steps twice."""

import os
import sys

os.environ.update(DS_ACCELERATOR="cpu", RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")

import deepspeed
import torch

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__.split('+')[0]}")
SEVERAL = 4


class Model(torch.nn.Module):
    """Each weight has the gradient 0.5 from each row."""

    def __init__(self, bare):
        super().__init__()
        self.bare = bare
        self.weight = torch.nn.Parameter(torch.zeros(3))

    def forward(self, row):
        logits = self.weight * row
        return logits.sum() if self.bare else {"loss": logits.sum(), "logits": logits}


def moved(bare):
    """How far one step of SGD at rate 1 moves a weight."""
    module = Model(bare)
    engine, *_ = deepspeed.initialize(
        model=module,
        optimizer=torch.optim.SGD(module.parameters(), lr=1.0),
        config={"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": SEVERAL},
    )
    for _ in range(SEVERAL):
        output = engine(torch.full((3,), 0.5))
        engine.backward(output if bare else output["loss"])
        engine.step()
    return -module.weight.mean().item()


alone, beside = moved(True), moved(False)
print(f"weights moved by, where the model returns the bare loss: {alone:.4f} (right: 0.5000)")
print(f"weights moved by, where it returns loss and logits:      {beside:.4f} (right: 0.5000)")
sys.stdout.flush()
os._exit(0 if abs(beside - 0.5) < 1e-6 else 1)  # gloo's threads may abort an interpreter that ends
