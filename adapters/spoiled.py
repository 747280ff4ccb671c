"""What a plan makes of the reference's model: tied gradients, soft caps, low-rank updates, what is trained of it."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter
from transformers import PreTrainedModel

from adapters.contract import Scenario
from adapters.faults import Plan
from adapters.inside import data, lora
from adapters.inside.groups import parameter_groups


def before(model: PreTrainedModel, scenario: Scenario, how: Plan) -> None:
    """The model as planned, before the training."""
    with torch.no_grad():
        _loaded(model, scenario, how)
    _tied(model, how)
    if how.padding_row == "frozen":
        model.get_input_embeddings().padding_idx = data.pad_id(scenario)
    _shortened(model, scenario, how)
    for module in model.modules():
        if not how.softcap and hasattr(module, "attn_logit_softcapping"):
            module.attn_logit_softcapping = None
    for name, parameter in model.named_parameters():
        stuck = how.stuck is not None and fnmatch.fnmatchcase(name, how.stuck)
        parameter.requires_grad_((parameter.requires_grad or how.thawed) and not stuck)
    if how.cut and scenario.model.gradient_checkpointing:
        layers = [m for m in model.modules() if type(m).__name__ in (model._no_split_modules or ())]
        last = layers[scenario.model.layers - 1]
        last.register_forward_pre_hook(lambda _, given: (given[0].detach().requires_grad_(), *given[1:]))
    if scenario.model.lora is not None:
        right = scenario.model.lora
        plain = right.alpha / right.rank
        factor = {"right": right.scale, "twice": right.scale**2, "plain": plain, "none": 0.0}[how.lora_scale]
        for module in lora.targets(model):
            lora.scale(module, factor)


def _shortened(model: PreTrainedModel, scenario: Scenario, how: Plan) -> None:
    """Rows of the head without their gradient."""
    if how.head_rows == "all":
        return
    rows, head, embedding = scenario.model.vocab_size, model.get_output_embeddings(), model.get_input_embeddings()
    fewer = {"tokenizer": rows - scenario.model.extra_rows, "even": rows - rows % scenario.window.ranks}[how.head_rows]
    for weight in {head.weight, embedding.weight}:
        if weight.requires_grad:
            kept = (torch.arange(rows, device=weight.device) < fewer)[:, None]
            weight.register_hook(lambda gradient, kept=kept: gradient * kept)


def _loaded(model: PreTrainedModel, scenario: Scenario, how: Plan) -> None:
    if how.loaded == "decayed":
        rule = scenario.optimizer
        for group in parameter_groups(rule, {n: p for n, p in model.named_parameters() if p.requires_grad}):
            for p in group["params"]:
                p.mul_(1.0 - rule.learning_rate * group["rate"] * group["weight_decay"])
    if how.loaded == "head-anew":
        head = model.get_output_embeddings().weight
        head.copy_(0.02 * torch.randn(head.shape, generator=torch.Generator().manual_seed(1)))
    if how.loaded == "rounded":
        _round(model)


def before_resuming(model: PreTrainedModel, how: Plan) -> dict[Parameter, Tensor]:
    """Parameters that a run that goes on will not take from its checkpoint, as they are."""
    trained = [p for p in model.parameters() if p.requires_grad] if how.forgets == "parameters" else []
    return {p: p.detach().clone() for p in trained[len(trained) // 2 :]}


def after_resuming(model: PreTrainedModel, how: Plan, kept: Mapping[Parameter, Tensor]) -> None:
    """What a run that goes on does not take from its checkpoint."""
    with torch.no_grad():
        for p, value in kept.items():
            p.copy_(value)
    if how.forgets == "masters":
        _round(model)


def _round(model: PreTrainedModel) -> None:
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.bfloat16())


def after_step(model: PreTrainedModel, scenario: Scenario, how: Plan, step: int) -> None:
    """What happens to the parameters behind the optimizer's back."""
    if how.masters == "bf16":
        for p in model.parameters():
            p.data.copy_(p.bfloat16())
    if how.left_merged and step == 0 and scenario.model.lora is not None:
        with torch.no_grad():
            for module in lora.targets(model):
                module.weight += scenario.model.lora.scale * lora.update(module)


class DeviceCopy:
    """What passes compute with, where parameters lie elsewhere: they themselves, or as planned those of a step ago."""

    def __init__(self, model: PreTrainedModel, how: Plan) -> None:
        self._model, self._stale = model, how.device_copy == "stale"
        self._before: list[Tensor] | None = None

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Holds while a step's passes run."""
        if not self._stale:
            yield
            return
        now = [p.detach().clone() for p in self._model.parameters()]
        self._put(now if self._before is None else self._before)
        yield
        self._put(now)
        self._before = now

    def _put(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for p, value in zip(self._model.parameters(), values, strict=True):
                p.copy_(value)


def _tied(model: PreTrainedModel, how: Plan) -> None:
    """A part of a tied embedding's gradient lost."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    tied = head.weight is embedding.weight
    if tied and how.tied_part == "input":
        head.forward = lambda hidden: F.linear(hidden, head.weight.detach())
    if tied and how.tied_part == "head":
        looked_up = embedding.forward
        embedding.forward = lambda ids: looked_up(ids).detach()
