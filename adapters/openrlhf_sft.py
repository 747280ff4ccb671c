"""OpenRLHF's supervised trainer, as `python -m openrlhf.cli.train_sft --flags` starts it in every rank."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import deepspeed
import torch
from packaging.version import Version

from adapters.contract import Job, Scenario, Shim
from adapters.families import deepspeed_setup, deepspeed_shims, row_files
from adapters.families.deepspeed_setup import STAGES
from adapters.families.deepspeed_state import read, read_parameters, relink_moments
from adapters.families.openrlhf_flags import DOTTED, DTYPE_BY_NAME, arguments, unsupported_schedule
from adapters.inside import modeling
from adapters.inside.rank import init_distributed
from adapters.inside.recorder import Recorder
from adapters.inside.resumed import Saved
from adapters.inside.stubs import stand_in

FLASH_ATTENTION = stand_in(
    "flash_attn",
    "OpenRLHF imports flash-attn at the top (models/ring_attn_utils.py), which has no build for a CPU; only packed"
    " samples and ring attention call it, and without its cross entropy OpenRLHF takes torch's (models/utils.py)",
)

from openrlhf.datasets import SFTDataset  # noqa: E402  after its stand-in
from openrlhf.trainer.sft_trainer import SFTTrainer  # noqa: E402  after its stand-in
from openrlhf.utils import utils as openrlhf_utils  # noqa: E402  after its stand-in
from openrlhf.utils.deepspeed import deepspeed as strategy  # noqa: E402  after its stand-in

CUDA_CALLS = Shim(
    "cuda-calls",
    "OpenRLHF calls torch.cuda without asking whether it is there (utils/deepspeed/deepspeed.py,"
    " utils/distributed_util.py): set_device, synchronize and empty_cache do nothing, current_device is the CPU",
)
CUDA_ANSWERS = {"set_device": None, "synchronize": None, "empty_cache": None, "current_device": "cpu"}
DEVICE_MESH = Shim(
    "cpu-mesh", "OpenRLHF asks for a device mesh of CUDA devices (setup_distributed in utils/deepspeed/deepspeed.py)"
)
TORCH_ADAM = Shim(
    "torch-adam",
    "OpenRLHF takes DeepSpeed's FusedAdam, or its CPUAdam for offload, which on a CPU would be compiled for minutes:"
    " torch's AdamW is in their place, by DeepSpeed's own option torch_adam from 0.10.2 on",
)
FULL_PRECISION = Shim(
    "fp32",
    "OpenRLHF trains in bf16 or fp16 only (--param_dtype): the model is loaded in fp32 and DeepSpeed's bf16 is off",
)
IN_PROCESS = Shim(
    "dataset-in-process",
    "OpenRLHF maps its dataset in 8 processes a rank (SFTDataset in datasets/sft_dataset.py), which takes longer than"
    " all the rest of a tiny run: it is mapped in the rank itself",
)


def prepare() -> None:
    """Import what every rank would otherwise."""
    modeling.import_all()
    deepspeed_setup.prepare()


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why OpenRLHF cannot run this scenario; None if it can."""
    name = f"openrlhf {version}"
    if scenario.sharding.strategy not in STAGES:
        return f"{name} has no sharding={scenario.sharding.strategy!r}, but DeepSpeed's {', '.join(STAGES)}"
    if (why := deepspeed_setup.unsupported(scenario)) is not None:
        return f"{name} has {why}"
    if scenario.data.rows_per_sequence > 1:
        return (
            f"{name} packs by flash attention only (--packing_samples), which its recipe leaves out, so it has no"
            f" rows_per_sequence={scenario.data.rows_per_sequence}"
        )
    if scenario.loss.engine_output != "model":
        return f"{name} computes its loss from logits, so it has no engine_output={scenario.loss.engine_output!r}"
    if Version(version) < DTYPE_BY_NAME and scenario.precision.compute == "fp16":
        return f"{name} trains in bf16 or in fp32 (--bf16), so it has no compute='fp16'"
    if Version(version) < DOTTED and scenario.optimizer.eps != 1e-8:
        return f"{name} has no flag for optimizer.eps={scenario.optimizer.eps:g}"
    if (why := _unsupported_epochs(scenario)) is not None:
        return f"{name} {why}"
    if (why := unsupported_schedule(scenario, Version(version))) is not None:
        return f"{name} {why}"
    if scenario.data.row_format == "prompt-completion" and any(len(row) != 2 for row in scenario.data.rows):
        return f"{name} makes one question and one answer of a row with row_format='prompt-completion'"
    return None


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of OpenRLHF, and of the DeepSpeed underneath."""
    scenario = job.scenario
    mesh = (DEVICE_MESH,) if hasattr(strategy, "init_device_mesh") else ()  # since 0.7.4
    cpu = (CUDA_CALLS, *mesh, TORCH_ADAM, IN_PROCESS) if scenario.device == "cpu" else ()
    asks = scenario.precision.compute == "fp32" and Version(job.version) >= DTYPE_BY_NAME
    precision = (FULL_PRECISION,) if asks else ()
    engine = deepspeed_shims.needed(deepspeed.__version__, scenario)
    return (*FLASH_ATTENTION, *cpu, *precision, *engine)


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the command with the scenario as its flags. Raises whatever OpenRLHF raises."""
    applied = shims(job)
    apply(applied)
    init_distributed(job)
    # deepspeed.initialize(dist_init_required=True) looks for all that torchrun sets, or asks MPI, before it finds that
    # torch.distributed is there already (init_distributed in comm/comm.py)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "0")
    observe(job, recorder, rank, deepspeed_shims.RELINK_MOMENTS in applied)
    datasets.config.HF_DATASETS_CACHE = Path.cwd() / f"datasets-r{rank}"  # or it grows in the user's home
    sys.argv = ["train_sft", *arguments(job, ",".join(map(str, write_rows(job, rank, world))))]
    with contextlib.suppress(Saved):
        runpy.run_module("openrlhf.cli.train_sft", run_name="__main__", alter_sys=True)
    recorder.end()


def write_rows(job: Job, rank: int, world: int) -> list[Path]:
    """The rows as OpenRLHF reads them; if their order is given, in such a one that its shuffling gives each rank those
    of the scenario.

    DistributedSampler (utils/distributed_sampler.py) permutes by torch.randperm, seeded with seed + epoch, then deals
    row by row to the ranks.
    """
    scenario = job.scenario
    source = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    path = Path.cwd() / f"rows-r{rank}.jsonl"
    if scenario.data.order == "shuffled":
        rows = [as_row(json.loads(line)["messages"], scenario) for line in source]
        return row_files.write(rows, scenario, path.with_suffix(""))
    steps = ((s, m) for s in range(scenario.window.steps) for m in range(scenario.window.accumulation))
    dealt = [
        row[0]
        for step, number in steps
        for rows in zip(*(scenario.sequence_rows(step, number, r) for r in range(world)), strict=True)
        for row in rows
    ]
    shuffled = torch.randperm(len(dealt), generator=torch.Generator().manual_seed(scenario.seed)).tolist()
    lines = [""] * len(dealt)
    for place, row in zip(shuffled, dealt, strict=True):
        lines[place] = json.dumps(as_row(json.loads(source[row])["messages"], scenario))
    path.write_text("\n".join(lines) + "\n")
    return [path]


def as_row(messages: list[dict[str, str]], scenario: Scenario) -> dict[str, Any]:
    """A conversation as a list of messages, or as two texts."""
    if scenario.data.row_format == "conversation":
        return {"messages": messages}
    question, answer = (message["content"] for message in messages)
    return {"prompt": question, "completion": answer}


def _unsupported_epochs(scenario: Scenario) -> str | None:
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


def apply(applied: Sequence[Shim]) -> None:
    """Make the changes in this process."""
    deepspeed_shims.apply(applied)
    if CUDA_CALLS in applied:
        for name, answer in CUDA_ANSWERS.items():
            setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    if DEVICE_MESH in applied:
        strategy.init_device_mesh = functools.partial(on_cpu, strategy.init_device_mesh)
    if TORCH_ADAM in applied:
        use_torch_adam()
    if IN_PROCESS in applied:
        SFTDataset.__init__ = functools.partialmethod(SFTDataset.__init__, num_processors=None)
    if FULL_PRECISION in applied:
        openrlhf_utils.convert_to_torch_dtype = lambda _: torch.float32
        change_config(param_dtype="fp32")


def on_cpu(make: Callable[..., Any], _: str, *args: Any, **kwargs: Any) -> Any:
    """A device mesh of the same shape on the CPU."""
    return make("cpu", *args, **kwargs)


def use_torch_adam() -> None:
    """Put torch's AdamW where OpenRLHF and DeepSpeed make, and look for, one of DeepSpeed's own."""
    for name in ("FusedAdam", "DeepSpeedCPUAdam"):
        if hasattr(strategy, name):  # before `DOTTED`
            setattr(strategy, name, torch.optim.AdamW)
    deepspeed.runtime.engine.FusedAdam = torch.optim.AdamW
    deepspeed.ops.adam.DeepSpeedCPUAdam = torch.optim.AdamW
    make = strategy.get_train_ds_config

    def with_torch_adam(*args: Any, **kwargs: Any) -> dict[str, Any]:
        config: dict[str, Any] = make(*args, **kwargs)
        if "optimizer" in config:
            config["optimizer"]["params"]["torch_adam"] = True
        return config

    strategy.get_train_ds_config = with_torch_adam


def change_config(**changed: Any) -> None:
    """Let DeepSpeed's configuration be made with other arguments."""
    make = strategy.get_train_ds_config
    strategy.get_train_ds_config = lambda *args, **kwargs: make(*args, **{**kwargs, **changed})


def observe(job: Job, recorder: Recorder, rank: int, relink: bool) -> None:
    """Let the recorder see the model when the engine is there, and the state where OpenRLHF logs a step."""
    prepared = strategy.DeepspeedStrategy.prepare
    logged = SFTTrainer.save_logs_and_checkpoints
    first = [relink]

    def prepare(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = prepared(self, *args, **kwargs)
        engine = result[0].model
        recorder.watch(engine.module)
        parameters = dict(engine.module.named_parameters())
        fresh = job.record and job.part != "after"
        recorder.begin(read_parameters(engine, parameters, rank) if fresh else {})
        return result

    def save_logs_and_checkpoints(
        self: Any, args: Any, step: int, bar: Any, logs: Mapping[str, float], *rest: Any
    ) -> Any:
        engine = self.model.model
        if first[0] and relink_moments(engine.optimizer):
            first[0] = False
        state = read(engine, dict(engine.module.named_parameters()), rank) if recorder.due else ({},)
        # the mean of what this rank's micro-batches made, whatever each of them was divided by
        recorder.step(None, grad_norm(engine, logs), logs["lr"], *state, logged=logs.get("loss_mean"))
        result = logged(self, args, step, bar, logs, *rest)
        if job.part == "before" and step == job.steps.stop:
            raise Saved
        return result

    strategy.DeepspeedStrategy.prepare = prepare
    SFTTrainer.save_logs_and_checkpoints = save_logs_and_checkpoints


def grad_norm(engine: Any, logs: Mapping[str, float]) -> float | None:
    """The norm that OpenRLHF logs, which it does since 0.9.6, or that its engine tells.

    It writes 0 where the engine has none, which is fp32 without ZeRO.
    """
    norm = engine.get_global_grad_norm()
    return None if norm is None else float(logs.get("grad_norm", norm))
