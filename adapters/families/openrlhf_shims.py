"""What is changed in OpenRLHF so that it runs here, whichever of its trainers is driven."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import deepspeed
import torch
from packaging.version import Version

from adapters.contract import Job, Shim
from adapters.families import deepspeed_shims
from adapters.families.openrlhf_flags import DTYPE_BY_NAME
from adapters.inside.stubs import stand_in

FLASH_ATTENTION = stand_in(
    "flash_attn",
    "OpenRLHF imports flash-attn at the top (models/ring_attn_utils.py), which has no build for a CPU; only packed"
    " samples and ring attention call it, and without its cross entropy OpenRLHF takes torch's (models/utils.py)",
)

from openrlhf.datasets import RewardDataset, SFTDataset  # noqa: E402  after its stand-in
from openrlhf.utils import utils as openrlhf_utils  # noqa: E402  after its stand-in
from openrlhf.utils.deepspeed import deepspeed as strategy  # noqa: E402  after its stand-in

CUDA_CALLS = Shim(
    "cuda-calls",
    "OpenRLHF calls torch.cuda without asking whether it is there (utils/deepspeed/deepspeed.py,"
    " utils/distributed_util.py): set_device, synchronize and empty_cache do nothing, current_device is the CPU",
)


class Cpu(str):
    """What the current device is: the CPU, and a number where OpenRLHF writes "cuda:" before it
    (trainer/ppo_utils/replay_buffer.py), of which it makes no use."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        return "0"


CUDA_ANSWERS = {"set_device": None, "synchronize": None, "empty_cache": None, "current_device": Cpu("cpu")}
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
    "OpenRLHF maps its dataset in 8 processes a rank (SFTDataset, RewardDataset in datasets), which takes longer than"
    " all the rest of a tiny run: it is mapped in the rank itself",
)


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of OpenRLHF, and of the DeepSpeed underneath."""
    scenario = job.scenario
    mesh = (DEVICE_MESH,) if hasattr(strategy, "init_device_mesh") else ()  # since 0.7.4
    cpu = (CUDA_CALLS, *mesh, TORCH_ADAM, IN_PROCESS) if scenario.device == "cpu" else ()
    asks = scenario.precision.compute == "fp32" and Version(job.version) >= DTYPE_BY_NAME
    precision = (FULL_PRECISION,) if asks else ()
    engine = deepspeed_shims.needed(deepspeed.__version__, scenario)
    return (*FLASH_ATTENTION, *cpu, *precision, *engine)


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
        for dataset in (SFTDataset, RewardDataset):
            dataset.__init__ = functools.partialmethod(dataset.__init__, num_processors=None)
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
    """Let DeepSpeed's configurations, for training and for a model beside it, be made with other arguments."""
    for name in ("get_train_ds_config", "get_eval_ds_config"):
        setattr(strategy, name, functools.partial(_changed, getattr(strategy, name), changed))


def _changed(make: Callable[..., Any], changed: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    return make(*args, **{**kwargs, **changed})
