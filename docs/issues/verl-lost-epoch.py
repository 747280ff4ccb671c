"""verl: training that goes on from the end of an epoch trains nothing in the next one, and ends."""

import importlib.metadata
import inspect

from torch.utils.data import DistributedSampler
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.trainer import sft_trainer

print(f"verl {importlib.metadata.version('verl')}, torchdata {importlib.metadata.version('torchdata')}")
ROWS, BATCH, EPOCHS = 8, 4, 2


def loader():
    """As SFTTrainer._build_dataloader makes it."""
    sampler = DistributedSampler(range(ROWS), shuffle=True, num_replicas=1, rank=0, drop_last=True)
    return sampler, StatefulDataLoader(range(ROWS), batch_size=BATCH, sampler=sampler, drop_last=True)


def fit(state, global_step, stop_at):
    """The loop of SFTTrainer.fit, whose model does not matter here: it counts steps, and saves the loader's state."""
    sampler, batches = loader()
    if state:
        batches.load_state_dict(state)  # CheckpointHandler.load_checkpoint
    steps_per_epoch = len(batches)
    for epoch in range(global_step // steps_per_epoch, EPOCHS):
        sampler.set_epoch(epoch=epoch)
        for _ in batches:
            global_step += 1
            if global_step == stop_at:
                return batches.state_dict(), global_step  # CheckpointHandler.save_checkpoint
    return None, global_step


source = inspect.getsource(sft_trainer.SFTTrainer.fit)
if "start_epoch = global_step // self.steps_per_epoch" not in source:
    print("the loop above is not that of this release")
    raise SystemExit(2)
_, uninterrupted = fit(None, 0, None)
same = []
for stop_at in (1, 2, 3):
    _, got = fit(*fit(None, 0, stop_at), None)
    same.append(got == uninterrupted)
    print(
        f"saved after step {stop_at} of {uninterrupted}, gone on with: ends after step {got} (right: {uninterrupted})"
    )
raise SystemExit(0 if all(same) else 1)
