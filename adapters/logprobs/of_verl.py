"""verl's function on the logits that its FSDP engine gives it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor
from verl.utils.torch_functional import logprobs_from_logits

from adapters.families.verl_shims import autocast_log_softmax_as_on_cuda
from adapters.logprobs.answer import Answer, loaded, logits

autocast_log_softmax_as_on_cuda()


def verl(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer:
    """As in workers/engine/fsdp/transformer_impl.py, with parameters that FSDP has cast: a pass under autocast, and
    logits of all rows in one sequence, in the dtype that the head gives them; log-softmax of them in float32, as
    autocast has it on CUDA and not on a CPU."""
    model = loaded(checkpoint, dtype)
    with nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype):
        scores = logits(model, ids)[:, :-1].flatten(0, 1)
        found = logprobs_from_logits(logits=scores, labels=ids[:, 1:].flatten())
    return Answer(found.view(len(ids), -1))


WAYS = {"verl": verl}
