"""OpenRLHF's actor."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from adapters.logprobs.answer import Answer, loaded

import_module("adapters.openrlhf_sft")  # its stand-ins

from openrlhf.models import Actor  # noqa: E402  after its stand-ins

DTYPES = {torch.bfloat16: "bf16", torch.float16: "fp16"}
"""Those that it has a name for (`convert_to_torch_dtype` in utils/utils.py)."""


def openrlhf(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer:
    """`Actor.forward` with `return_logprobs`, as its experience maker calls it. In float32, which OpenRLHF has no name
    for, the actor is given a model that is loaded so."""
    actor = Actor(str(checkpoint), attn_implementation="sdpa", param_dtype=DTYPES.get(dtype, "bf16")).eval()
    if dtype not in DTYPES:
        actor.model = loaded(checkpoint, dtype)
    return Answer(actor(ids, attention_mask=torch.ones_like(ids), return_logprobs=True))


WAYS = {"openrlhf": openrlhf}
