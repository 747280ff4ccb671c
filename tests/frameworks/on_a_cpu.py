"""Starts a framework's own module where there is no GPU: its adapter's shims, and nothing else of Lockstep.

on_a_cpu.py FRAMEWORK MODULE [WORDS...]
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # behind all that the framework's environment has

from adapters.contract import Shim


def openrlhf() -> Sequence[Shim]:
    from adapters.families import deepspeed_shims
    from adapters.families import openrlhf_shims as shims

    here = [shims.CUDA_CALLS, shims.DEVICE_MESH, shims.TORCH_ADAM, shims.IN_PROCESS, shims.FULL_PRECISION]
    engine = [deepspeed_shims.WITHOUT_SHM_OP, deepspeed_shims.STEP_WITHOUT_AUTOGRAD]
    shims.apply([*here, *engine])
    return [*shims.FLASH_ATTENTION, *here, *engine]


def verl() -> Sequence[Shim]:
    import torch

    from adapters.families import verl_shims
    from adapters.families.verl_engine import PLATFORM, PROCESS_GROUP

    verl_shims.give_the_cpu_memory_figures()
    verl_shims.autocast_log_softmax_as_on_cuda()
    join = torch.distributed.init_process_group
    torch.distributed.init_process_group = lambda *_, **__: join("gloo")
    return [PLATFORM, verl_shims.MEMORY, verl_shims.LOG_SOFTMAX, PROCESS_GROUP]


def llamafactory() -> Sequence[Shim]:
    from adapters.inside.stubs import stand_in

    return stand_in("torchaudio", "LLaMA-Factory imports it for its multimodal plugins, which text never reaches")


SHIMS: dict[str, Callable[[], Sequence[Shim]]] = {"openrlhf": openrlhf, "verl": verl, "llamafactory": llamafactory}

if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    _, framework, module, *words = sys.argv
    for shim in SHIMS[framework]():
        print("shim:", shim.name)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
