"""Low-rank updates in plain PyTorch, for loops that have a model of their own; parameters are named as in peft's files.

The module that a matrix belongs to gets the two factors as parts of its own, and a hook that adds what they make.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from adapters.contract import Job, Lora, Model

FOLDER = "lora"
"""Beside the checkpoint's own files; made by `scenarios.lora`."""
_PREFIX = "base_model.model."


def prepare(model: nn.Module, job: Job) -> None:
    """Freeze what the scenario's model does not train, and attach its low-rank updates, with their first values."""
    wanted = job.scenario.model
    if wanted.lora is not None:
        attach(model, wanted.lora)
        saved = load_file(Path(job.checkpoint) / FOLDER / "adapter_model.safetensors")
        model.load_state_dict({name.removeprefix(_PREFIX): value for name, value in saved.items()}, strict=False)
    freeze(model, wanted)


def freeze(model: nn.Module, wanted: Model) -> None:
    """Let gradients flow into what is trained alone."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(wanted.trains(name))


def attach(model: nn.Module, lora: Lora) -> None:
    """Give every target its two factors."""
    for name, module in list(model.named_modules()):
        if name.rpartition(".")[2] not in lora.targets:
            continue
        if isinstance(module, nn.Embedding):
            module.lora_embedding_A = nn.Parameter(torch.zeros(lora.rank, module.num_embeddings))
            module.lora_embedding_B = nn.Parameter(torch.zeros(module.embedding_dim, lora.rank))
        else:
            module.lora_A = nn.Linear(module.in_features, lora.rank, bias=False)
            module.lora_B = nn.Linear(lora.rank, module.out_features, bias=False)
        scale(module, lora.scale)


def scale(module: Any, factor: float) -> None:
    """What the two factors of a module make is multiplied by this, whatever it was multiplied by before."""
    for hook in getattr(module, "lora_hooks", ()):
        hook.remove()
    add = _embedded if isinstance(module, nn.Embedding) else _linear
    module.lora_hooks = [module.register_forward_hook(lambda *given: given[2] + factor * add(given[0], *given[1]))]


def targets(model: nn.Module) -> list[Any]:
    """The modules that have factors."""
    return [module for module in model.modules() if hasattr(module, "lora_hooks")]


def update(module: Any) -> Tensor:
    """B A, or of an embedding (B A)^T: of the shape of the module's weight, and not yet scaled."""
    embedded = isinstance(module, nn.Embedding)
    first, second = _factors(module, embedded)
    return (second @ first).T if embedded else second @ first


def _factors(module: Any, embedded: bool) -> tuple[Tensor, Tensor]:
    if embedded:
        return module.lora_embedding_A, module.lora_embedding_B
    return module.lora_A.weight, module.lora_B.weight


def _linear(module: Any, x: Tensor) -> Tensor:
    added: Tensor = module.lora_B(module.lora_A(x))
    return added


def _embedded(module: Any, ids: Tensor) -> Tensor:
    first, second = _factors(module, embedded=True)
    return nn.functional.embedding(ids, first.T) @ second.T
