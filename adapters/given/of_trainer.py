"""Programs around the Trainer of transformers: TRL's own script, and a plain one."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from adapters.contract import ADDED, Given, Shim
from adapters.families import deepspeed_setup, hf_fsdp
from adapters.given.stopping import stop

ENGINE_JOINED = Shim(
    "engine-joined",
    "with use_cpu the Trainer does not start DeepSpeed's communication before a model is loaded, as it does with GPUs"
    " (_setup_devices in transformers' training_args.py), and ZeRO 3 counts one rank: it is started beforehand",
)


class Stopping(TrainerCallback):
    """Tells what tokens the framework has added, and ends the process after that many optimizer steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_train_begin(self, _: Any, state: Any, __: Any, **given: Any) -> None:
        tokenizer: Any = given.get("processing_class", given.get("tokenizer"))
        if state.is_world_process_zero and hasattr(tokenizer, "get_added_vocab"):
            Path(ADDED).write_text(json.dumps(tokenizer.get_added_vocab()))

    def on_step_end(self, _: Any, state: Any, __: Any, **___: Any) -> None:
        if state.global_step >= self._steps:
            stop()


def apply(given: Given) -> Sequence[Shim]:
    """As `start` has it; on a CPU torch.distributed is there already for accelerate and DeepSpeed, with gloo."""
    shims: list[Shim] = []
    if given.stage is not None:
        from adapters.families import deepspeed_shims

        shims += deepspeed_shims.running(version("deepspeed"), given.stage, given.compute)
        deepspeed_shims.apply(shims)
    if given.device == "cpu":
        shims += _on_a_cpu(given)
    Trainer.__init__ = _stopped(Trainer.__init__, given.steps)
    return shims


def _on_a_cpu(given: Given) -> list[Shim]:
    shims: list[Shim] = []
    if given.sharded in hf_fsdp.VERSIONS:
        shims.append(hf_fsdp.ON_A_CPU)
        hf_fsdp.shard_on_the_cpu()
    torch.distributed.init_process_group("gloo")
    if given.stage is not None:
        import deepspeed

        shims.append(ENGINE_JOINED)
        deepspeed.init_distributed("gloo", verbose=False)
    deepspeed_setup.set_local_size()
    return shims


def _stopped(made: Any, steps: int) -> Any:
    """The Trainer's own `__init__`, with a callback that ends the process."""

    @functools.wraps(made)
    def init(trainer: Any, *args: Any, **kwargs: Any) -> None:
        made(trainer, *args, **kwargs)
        trainer.add_callback(Stopping(steps))

    return init
