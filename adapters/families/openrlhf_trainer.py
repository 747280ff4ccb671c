"""OpenRLHF's trainers on conversations: `python -m openrlhf.cli.NAME --flags`, as it is started in every rank."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from packaging.version import Version

from adapters.contract import Job, Scenario, Shim
from adapters.families import deepspeed_setup, deepspeed_shims, openrlhf_shims
from adapters.families.deepspeed_setup import STAGES
from adapters.families.deepspeed_state import read, read_parameters, relink_moments
from adapters.families.openrlhf_flags import DOTTED, DTYPE_BY_NAME, unsupported_schedule
from adapters.inside import modeling
from adapters.inside.rank import init_distributed
from adapters.inside.recorder import Recorder
from adapters.inside.resumed import Saved


def prepare() -> None:
    """Import what every rank would otherwise."""
    modeling.import_all()
    deepspeed_setup.prepare()


def unsupported(scenario: Scenario, version: Version) -> str | None:
    """What none of this release's trainers has; None if they have all of it."""
    if scenario.sharding.strategy not in STAGES:
        return f"has no sharding={scenario.sharding.strategy!r}, but DeepSpeed's {', '.join(STAGES)}"
    if (why := deepspeed_setup.unsupported(scenario)) is not None:
        return f"has {why}"
    if scenario.loss.engine_output != "model":
        return f"computes its loss from logits, so it has no engine_output={scenario.loss.engine_output!r}"
    if version < DTYPE_BY_NAME and scenario.precision.compute == "fp16":
        return "trains in bf16 or in fp32 (--bf16), so it has no compute='fp16'"
    if version < DOTTED and scenario.optimizer.eps != 1e-8:
        return f"has no flag for optimizer.eps={scenario.optimizer.eps:g}"
    return unsupported_schedule(scenario, version)


def start(job: Job, applied: Sequence[Shim]) -> None:
    """Make the changes, and let the ranks meet."""
    openrlhf_shims.apply(applied)
    init_distributed(job)
    # deepspeed.initialize(dist_init_required=True) looks for all that torchrun sets, or asks MPI, before it finds that
    # torch.distributed is there already (init_distributed in comm/comm.py)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "0")


def run(name: str, words: Sequence[str], recorder: Recorder, rank: int) -> None:
    """Run one of its command lines to its end. Raises whatever OpenRLHF raises."""
    datasets.config.HF_DATASETS_CACHE = Path.cwd() / f"datasets-r{rank}"  # or it grows in the user's home
    sys.argv = [name, *words]
    with contextlib.suppress(Saved):
        runpy.run_module(f"openrlhf.cli.{name}", run_name="__main__", alter_sys=True)
    recorder.end()


def in_order(dealt: Sequence[int], seed: int) -> list[int]:
    """What its shuffling puts into the order that is given.

    DistributedSampler (utils/distributed_sampler.py) permutes by torch.randperm, seeded with seed + epoch, then deals
    one by one to the ranks.
    """
    shuffled = torch.randperm(len(dealt), generator=torch.Generator().manual_seed(seed)).tolist()
    by_place = dict(zip(shuffled, dealt, strict=True))
    return [by_place[place] for place in range(len(dealt))]


def dealt(scenario: Scenario, world: int) -> list[int]:
    """The first row of each sequence of the whole training, rank by rank."""
    steps = ((s, m) for s in range(scenario.window.steps) for m in range(scenario.window.accumulation))
    return [
        row[0]
        for step, number in steps
        for rows in zip(*(scenario.sequence_rows(step, number, r) for r in range(world)), strict=True)
        for row in rows
    ]


def unsupported_epochs(scenario: Scenario) -> str | None:
    """It shuffles every epoch, trains all of them, and goes on with an unfinished window in the next one."""
    data, window, dealing = scenario.data, scenario.window, scenario.dealing
    if data.order == "given" and data.parts:
        return "shuffles the rows of all its files together (cli/train_sft.py): data.parts with order='shuffled' alone"
    if data.order == "given" and scenario.epochs_begun > 1:
        return "shuffles every epoch (setup_dataloader in cli/train_sft.py), so it has no order='given' of several"
    if scenario.meets_last_window and window.last_window != "carried":
        return (
            "goes on with a window in the next epoch (fit in trainer/sft_trainer.py), so it has no"
            f" last_window={window.last_window!r}"
        )
    if data.order == "shuffled" and window.steps != dealing.steps(data.epochs):
        return f"trains all its epochs, so it has no window.steps={window.steps} of {dealing.steps(data.epochs)}"
    return None


class Watched:
    """Lets the recorder see what OpenRLHF trains: the model when its engine is there, and the state after a step."""

    def __init__(self, job: Job, recorder: Recorder, rank: int, applied: Sequence[Shim]) -> None:
        self._job = job
        self._recorder = recorder
        self._rank = rank
        self._relink = deepspeed_shims.RELINK_MOMENTS in applied
        from openrlhf.utils.deepspeed.deepspeed import DeepspeedStrategy

        made = DeepspeedStrategy._ds_init_train_model

        def init_train_model(own: Any, *args: Any, **kwargs: Any) -> Any:
            result = made(own, *args, **kwargs)
            self._begin(result[0].model)
            return result

        DeepspeedStrategy._ds_init_train_model = init_train_model

    def _begin(self, engine: Any) -> None:
        self._recorder.watch(engine.module)
        fresh = self._job.record and self._job.part != "after"
        parameters = dict(engine.module.named_parameters())
        self._recorder.begin(read_parameters(engine, parameters, self._rank) if fresh else {})

    def step(self, engine: Any, logs: Mapping[str, float], rate: float, loss: float | None) -> None:
        """Record an optimizer step. loss: the mean of what this rank's micro-batches made, whatever each of them was
        divided by."""
        if self._relink and relink_moments(engine.optimizer):
            self._relink = False
        parameters = dict(engine.module.named_parameters())
        state = read(engine, parameters, self._rank) if self._recorder.due else ({},)
        self._recorder.step(None, grad_norm(engine, logs), rate, *state, logged=loss)

    def logged(self, trainer: type) -> None:
        """Record a step where that trainer logs one."""
        log: Any = trainer
        saved = log.save_logs_and_checkpoints

        def save_logs_and_checkpoints(
            own: Any, args: Any, step: int, bar: Any, logs: Mapping[str, float], *rest: Any
        ) -> Any:
            self.step(own.model.model, logs, logs["lr"], logs.get("loss_mean"))
            result = saved(own, args, step, bar, logs, *rest)
            if self._job.part == "before" and step == self._job.steps.stop:
                raise Saved
            return result

        log.save_logs_and_checkpoints = save_logs_and_checkpoints


def grad_norm(engine: Any, logs: Mapping[str, float]) -> float | None:
    """The norm that OpenRLHF logs, which it does since 0.9.6, or that its engine tells.

    It writes 0 where the engine has none, which is fp32 without ZeRO.
    """
    norm = engine.get_global_grad_norm()
    return None if norm is None else float(logs.get("grad_norm", norm))
