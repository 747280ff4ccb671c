"""verl's supervised trainers, the old one and the new one, with their adapters' shims."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from packaging.version import Version

from adapters.contract import Given, Shim
from adapters.families import verl_shims
from adapters.given.labels import LABELS_TOLD, predicted, tell
from adapters.given.stopping import stop

OLD = "adapters.given.verl_trainer"


def apply(given: Given) -> Sequence[Shim]:
    """As `start` has it. Rows are put into the Parquet file that the program reads, by each rank, as a whole."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or it hides the reason that it ends for
    rows = [json.loads(line) for line in Path(given.more["rows"]).read_text().splitlines()]
    own = Path(f"{given.more['parquet']}.{os.environ.get('RANK', '0')}")
    pd.DataFrame(rows).to_parquet(own)
    own.replace(given.more["parquet"])
    return [*(_old(given) if given.program == OLD else _new(given)), LABELS_TOLD]


def _old(given: Given) -> list[Shim]:
    from adapters.families import verl_fsdp_trainer

    here: Any = verl_fsdp_trainer
    shims = _old_on_a_cpu(here) if given.device == "cpu" else []
    trainer = here.FSDPSFTTrainer
    trainer._compute_loss_and_backward = _old_told(trainer._compute_loss_and_backward, given.more["predicting"])
    trainer.training_step = _stopped(trainer.training_step, given.steps)
    return [*here.stubs(version("verl")), *shims]


def _old_on_a_cpu(here: Any) -> list[Shim]:
    shims = [here.PROCESS_GROUP, here.ATTENTION, here.LOADER]
    shims += [verl_shims.MEMORY] if Version(version("verl")) < Version("0.6") else []
    here.distributed.get_nccl_backend = lambda: "gloo"
    if verl_shims.MEMORY in shims:
        verl_shims.give_the_cpu_memory_figures()
    _by_gloo()
    here.on_a_cpu("sdpa")
    return shims


def _new(given: Given) -> list[Shim]:
    from adapters.families import verl_engine

    here: Any = verl_engine
    shims = _new_on_a_cpu(given, here) if given.device == "cpu" else []
    engine = here.FSDPEngineWithLMHead
    engine.prepare_model_inputs = _new_told(engine.prepare_model_inputs)
    here.TrainingWorker.train_batch = _stopped(here.TrainingWorker.train_batch, given.steps)
    return shims


def _new_on_a_cpu(given: Given, here: Any) -> list[Shim]:
    device = here.PLATFORM if Version(version("verl")) >= Version("0.9") else here.ENGINE
    shims = [device, verl_shims.MEMORY, here.PROCESS_GROUP, verl_shims.LOG_SOFTMAX]
    if here.ENGINE in shims:
        here.register("fsdp2" if given.sharded == "fsdp" else "fsdp")
    verl_shims.give_the_cpu_memory_figures()
    verl_shims.autocast_log_softmax_as_on_cuda()
    if given.compute == "fp16":
        shims.append(verl_shims.SCALER)
        verl_shims.scale_on_the_cpu()
    if given.sharded == "fsdp1":
        shims.append(verl_shims.SYNC)
        verl_shims.sync_on_the_cpu()
    _by_gloo()
    return shims


def _by_gloo() -> None:
    join = torch.distributed.init_process_group
    torch.distributed.init_process_group = lambda *_, **__: join("gloo")


def _stopped(step: Callable[..., Any], steps: int) -> Callable[..., Any]:
    """A trainer's own optimizer step, ending the process after so many."""
    done = 0

    @functools.wraps(step)
    def stepping(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        found = step(*args, **kwargs)
        done += 1
        if done >= steps:
            stop()
        return found

    return stepping


def _old_told(backward: Callable[..., Any], predicting: bool) -> Callable[..., Any]:
    """predicting: whether the dataset's mask is over the tokens that predict, as SFTDataset's is; that of
    MultiTurnSFTDataset is over the tokens themselves."""

    @functools.wraps(backward)
    def told(trainer: Any, batch: Any, *args: Any, **kwargs: Any) -> Any:
        ids, mask = batch["input_ids"], batch["loss_mask"]
        tell(ids, predicted(mask) if predicting else mask)
        return backward(trainer, batch, *args, **kwargs)

    return told


def _new_told(prepare: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(prepare)
    def told(engine: Any, micro_batch: Any, *args: Any, **kwargs: Any) -> Any:
        inputs, *rest = prepare(engine, micro_batch, *args, **kwargs)
        ids, mask = inputs["input_ids"], micro_batch["loss_mask"]
        tell(ids, _laid_out(mask, ids))
        return (inputs, *rest)

    return told


def _laid_out(mask: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """A mask of rows one behind the other as the token ids are: so too, or each filled up on the right."""
    if not mask.is_nested:
        return mask.reshape(ids.shape)
    if mask.values().numel() == ids.numel():
        return mask.values().reshape(ids.shape)
    padded: torch.Tensor = torch.nested.to_padded_tensor(mask, 0, (ids.shape[0], ids.shape[1]))
    return padded
