"""Models that torch.compile has made one thing of: nothing inside of it is called as a module any more.

Their calls are asked once more as they are written. What was compiled stays what it would be without a recorder.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lockstep_recorder.model import Found, find
from lockstep_recorder.state import is_piece

IN_PLACE = "the model is compiled in place, so that its calls are not seen: torch.compile(model) shows them"


def hidden(called: nn.Module, found: Found) -> bool:
    """Whether what feeds the head lies inside of what is compiled."""
    needed = found.norm or found.head
    return any(needed is inner for outer in _compiled(called) for inner in outer.modules())


def _compiled(called: nn.Module) -> Iterator[nn.Module]:
    for module in called.modules():
        if isinstance(module, torch._dynamo.OptimizedModule) or module._compiled_call_impl is not None:
            yield module


def why_not(found: Found) -> str | None:
    """Why a model cannot be asked once more; None if it can be."""
    if not hasattr(torch.compiler, "set_stance"):
        return "the model is compiled, and torch before 2.6 cannot run it as it is written"
    if any(is_piece(p) for p in found.model.parameters()):
        return "the model is compiled, and in pieces"
    if _drops(found.model):
        return "the model is compiled, and its dropout would be drawn otherwise if it were run once more"
    return None


def _drops(model: nn.Module) -> bool:
    told = vars(getattr(model, "config", object)).items()
    configured = any("drop" in name and isinstance(v, float) and v > 0.0 for name, v in told)
    return configured or any(isinstance(m, nn.Dropout) and m.p > 0.0 for m in model.modules())


def once_more(found: Found, given: dict[str, Any]) -> None:
    """Run the model as it is written, with the arguments of its call. Random numbers and buffers stay what they are."""
    device = found.weight.device
    buffers = [(buffer, buffer.detach().clone()) for buffer in found.model.buffers()]
    with (
        torch.random.fork_rng([device] if device.type != "cpu" else [], device_type=_kind(device)),
        torch.compiler.set_stance("force_eager"),
        torch.enable_grad(),
    ):
        found.model(**given)
    with torch.no_grad():
        for buffer, before in buffers:
            if not torch.equal(buffer, before):
                buffer.copy_(before)


def _kind(device: torch.device) -> str:
    return "cuda" if device.type == "cpu" else device.type


def of_optimizer(optimizer: Any) -> Found | None:
    """A model that was compiled in place, whose calls nobody sees, by the optimizer that steps it."""
    ours = {id(p) for group in getattr(optimizer, "param_groups", []) for p in group["params"]}
    for thing in gc.get_objects():
        if issubclass(type(thing), nn.Module) and getattr(thing, "_compiled_call_impl", None) is not None:
            found = find(thing)
            if found is not None and any(id(p) in ours for p in thing.parameters()):
                return found
    return None
