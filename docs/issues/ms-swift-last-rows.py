"""ms-swift: where the ranks do not divide the rows, the last rows of the dataset are in no epoch, shuffled or not."""

import tempfile

import swift
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from swift.dataloader import BatchSamplerShard

ROWS, RANKS, EPOCHS = 15, 4, 100


def rank_main(rank, seen, store):
    """Which rows this rank draws in all epochs, as the Trainer asks for them."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    for shuffle in (False, True):
        # as SwiftMixin.get_train_dataloader in trainers/mixin.py makes it
        sampler = BatchSamplerShard(ROWS, batch_size=1, shuffle=shuffle, drop_last=False, data_seed=42)
        for epoch in range(EPOCHS):
            sampler.set_epoch(epoch)
            for batch in sampler:
                seen[rank, int(shuffle), batch] += 1
    dist.barrier()


if __name__ == "__main__":
    print(f"ms-swift {swift.__version__}, torch {torch.__version__.split('+')[0]}")
    seen = torch.zeros(RANKS, 2, ROWS, dtype=torch.int64).share_memory_()
    store = f"{tempfile.mkdtemp()}/store"
    mp.spawn(rank_main, (seen, store), RANKS)
    lost = []
    for shuffle in (False, True):
        never = [row for row, times in enumerate(seen.sum(0)[int(shuffle)].tolist()) if times == 0]
        lost += never
        print(f"shuffle={shuffle}: rows of {ROWS} that no rank of {RANKS} sees in {EPOCHS} epochs: {never} (right: [])")
    raise SystemExit(1 if lost else 0)
