"""Which module is the output head, and what feeds it: found out from the model, not asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lockstep_recorder import flattened


@dataclass(frozen=True)
class Found:
    """A language model, as far as recording needs to know it."""

    model: nn.Module
    """The innermost one that has the head: the Hugging Face model, or the module that was called."""
    base: nn.Module
    """What it calls for the hidden states; `model` itself where nobody knows."""
    head: nn.Module
    weight: Tensor
    """[vocabulary, width], or a shard of it."""
    shape: tuple[int, ...]
    """(vocabulary, width)."""
    norm: nn.Module | None
    """Whose output the head is fed with. None: the head's own input is taken, and it must be called."""
    tied: bool
    """Whether the input embeddings are the same tensor."""
    bend: Callable[[Tensor], Tensor]
    """What happens to the logits behind the head: soft caps and scales."""
    ends: tuple[int, ...]
    """Ids of the tokens that end a text, as the model's configuration and that of its generation have them."""
    units: tuple[Any, ...]
    """Of FSDP's first kind, in what was called."""


def find(called: nn.Module) -> Found | None:
    """The model in a module that was called; None if there is no language model in it."""
    units = flattened.units(called)
    for module in called.modules():
        # By its class: engines answer for the model that they wrap.
        known = hasattr(type(module), "get_output_embeddings")
        head = _quietly(module.get_output_embeddings) if known else None
        head = flattened.unwrapped(head) if isinstance(head, nn.Module) else None
        if head is not None and (shape := _shape(head, units)) is not None:
            return _found(module, head, shape, units)
    head = _plain_head(called)
    shape = None if head is None else _shape(head, units)
    return None if head is None or shape is None else _found(called, head, shape, units)


def _found(model: nn.Module, head: nn.Module, shape: tuple[int, ...], units: tuple[Any, ...]) -> Found:
    weight: Any = head.weight
    embeddings = _quietly(getattr(model, "get_input_embeddings", None))
    every = [m for m in model.modules() if isinstance(m, nn.Embedding)]
    owners = [embeddings] if isinstance(embeddings, nn.Module) else every
    base = getattr(model, "base_model", None)
    base = base if isinstance(base, nn.Module) else model
    return Found(
        model=model,
        base=base,
        head=head,
        weight=weight,
        shape=shape,
        norm=_last_norm(base, head),
        tied=any(getattr(owner, "weight", None) is weight for owner in owners),
        bend=_bend(getattr(model, "config", None)),
        ends=_ends(model),
        units=units,
    )


def _quietly(getter: Any) -> Any:
    """What a model answers; None where it has no answer."""
    try:
        return getter() if callable(getter) else None
    except (AttributeError, NotImplementedError):  # how models of Hugging Face say so
        return None


def _shape(head: nn.Module, units: tuple[Any, ...]) -> tuple[int, ...] | None:
    """Of the head's matrix; None where it has none."""
    shape = flattened.shape(head, units) if isinstance(getattr(head, "weight", None), Tensor) else ()
    return shape if len(shape) == 2 else None


def _plain_head(model: nn.Module) -> nn.Module | None:
    """Of a model that tells nothing: the last linear layer with an output for each token of an embedding."""
    sizes = {m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)}
    heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features in sizes]
    return heads[-1] if heads else None


def _last_norm(base: nn.Module, head: nn.Module) -> nn.Module | None:
    """The last norm that is in no list of layers."""
    listed = {id(m) for layers in base.modules() if isinstance(layers, nn.ModuleList) for m in layers.modules()}
    norms = [m for m in base.modules() if "norm" in type(m).__name__.lower() and id(m) not in listed and m is not head]
    return norms[-1] if norms else None


def _bend(config: Any) -> Callable[[Tensor], Tensor]:
    cap = getattr(config, "final_logit_softcapping", None)
    times = getattr(config, "logit_scale", None) or 1.0
    over = getattr(config, "logits_scaling", None) or 1.0

    def bend(logits: Tensor) -> Tensor:
        if times != 1.0 or over != 1.0:
            logits = logits * (times / over)
        return torch.tanh(logits / cap) * cap if cap else logits

    return bend


def _ends(model: nn.Module) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for config in ("config", "generation_config"):
        eos = getattr(getattr(model, config, None), "eos_token_id", None)
        found |= dict.fromkeys(map(int, eos if isinstance(eos, (list, tuple)) else [] if eos is None else [eos]))
    return tuple(found)
