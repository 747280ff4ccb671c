"""The checkpoint's model, for adapters that drive their own loop."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import torch
from packaging.version import Version
from transformers import AutoModelForCausalLM, PreTrainedModel

from adapters.contract import Job, Unsupported
from adapters.inside import lora, modeling

DTYPE = "dtype" if Version(version("transformers")) >= Version("4.56") else "torch_dtype"
"""What `from_pretrained` calls it."""


def load_float32(job: Job) -> PreTrainedModel:
    """The model in float32, on the CPU, with its low-rank updates; what is not to be trained is frozen.

    Of the token that pads, transformers freezes the row of the embedding (`padding_idx` in modeling_llama.py and
    others), also where it is the EOS and read as a token like any other; here it learns.
    Eager attention adds the 4-D mask of packed rows as it is, whatever the model's dtype.
    """
    attention = "eager" if job.scenario.data.packs else modeling.attention_of(job.scenario)
    model = AutoModelForCausalLM.from_pretrained(
        job.checkpoint, attn_implementation=attention, **{DTYPE: torch.float32}
    )
    if job.scenario.tokenizer.pad_token != "own":
        model.get_input_embeddings().padding_idx = None
    lora.prepare(model, job)
    if job.scenario.model.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if job.scenario.model.compiled != "none":
        model.compile(backend=job.scenario.model.compiled)
    return model


def load_counting(job: Job) -> PreTrainedModel:
    """The same, for a loop that has the model divide its loss by `num_items_in_batch`.

    Raises Unsupported where the family's loss takes no such number, as GPT-2's does not up to transformers 4.48.2.
    """
    model = load_float32(job)
    given = inspect.signature(model.forward).parameters.values()
    if any(p.kind is p.VAR_KEYWORD or p.name == "num_items_in_batch" for p in given):
        return model
    raise Unsupported(
        f"transformers {version('transformers')}: the loss of {type(model).__name__} takes no num_items_in_batch, so"
        f" there is no token mean by model.architecture={job.scenario.model.architecture!r}"
    )
