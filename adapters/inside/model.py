"""The checkpoint's model, for adapters that drive their own loop."""

from __future__ import annotations

from importlib.metadata import version

import torch
from packaging.version import Version
from transformers import AutoModelForCausalLM, PreTrainedModel

from adapters.contract import Job
from adapters.inside import modeling

DTYPE = "dtype" if Version(version("transformers")) >= Version("4.56") else "torch_dtype"
"""What `from_pretrained` calls it."""


def load_float32(job: Job) -> PreTrainedModel:
    """The model in float32, on the CPU.

    Eager attention adds the 4-D mask of packed rows as it is, whatever the model's dtype.
    """
    attention = "eager" if job.scenario.rows_per_sequence > 1 else modeling.attention_of(job.scenario)
    return AutoModelForCausalLM.from_pretrained(job.checkpoint, attn_implementation=attention, **{DTYPE: torch.float32})
