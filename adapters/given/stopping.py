"""The end of a rank whose last watched step is done."""

from __future__ import annotations

import os
import sys

import torch


def stop() -> None:
    """End this process at once, and well, when all ranks have come so far.

    By `_exit`: gloo's threads may abort a process that is torn down while another one is gone.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
