"""Log-probabilities of given tokens: `python -m adapters.logprobs.answered MODULE JOB OUT`.

JOB is JSON: the folder of a checkpoint, a dtype by torch's name, and the ids of rows of one length. What a framework
prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from adapters.contract import CHOSEN, EVERY, tensor
from adapters.logprobs.answer import Way


def main() -> int:
    """Writes OUT in one step, once every way of the module has answered."""
    module, job, out = sys.argv[1:]
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = json.loads(Path(job).read_text())
    ways: Mapping[str, Way] = import_module(module).WAYS
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, way in ways.items():
            answer = way(Path(asked["checkpoint"]), getattr(torch, asked["dtype"]), torch.tensor(asked["ids"]))
            if answer is None:
                continue
            found[tensor(name, CHOSEN)] = answer.chosen.double().contiguous()
            if answer.every is not None:
                found[tensor(name, EVERY)] = answer.every.float().contiguous()
    partial = Path(f"{out}.partial")
    save_file(found, partial)
    os.replace(partial, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
