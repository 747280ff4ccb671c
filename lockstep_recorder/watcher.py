"""The life of a recording: finds the model, looks at its forward passes, and at the optimizer around its step."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from lockstep_recorder import about, batch, exchange, samples, sketch
from lockstep_recorder.model import Found, find
from lockstep_recorder.passes import Passes
from lockstep_recorder.recording import Recording
from lockstep_recorder.settings import Settings
from lockstep_recorder.sketch import Sketch
from lockstep_recorder.state import piece, shape_of


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    """An error ends the recording, and not the training. `learning`: whether the caller computes gradients."""

    @functools.wraps(method)
    def call(self: Watcher, *args: Any, **kwargs: Any) -> None:
        if self.ended:
            return
        begun = time.perf_counter()
        self.learning = torch.is_grad_enabled()
        self.inside = True
        try:
            with torch.no_grad():
                method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  whatever it is, it is ours, and the training is the user's
            self.give_up(error)
        self.inside = False
        self.seconds += time.perf_counter() - begun

    return call


class Watcher:
    """Watches the first language model that is trained in this process."""

    def __init__(self, settings: Settings, on_end: Callable[[Recording], None] | None = None) -> None:
        """on_end: called once nothing more is written."""
        self.settings = settings
        self._on_end = on_end
        self.ended = False
        self.learning = False
        self.inside = False
        """Whether one of the hooks is at work."""
        self.seconds = 0.0
        """Spent here since the last step."""
        self.written: int | None = None
        """The last step that was recorded."""
        self._handles: list[Any] = []
        self._around_steps: list[Any] = []
        self._seen: set[int] = set()
        self._found: Found | None = None
        self._engine: Any = None
        self._only: Any = None
        """The optimizer whose steps count, if it was named."""
        self._recording = Recording(settings.out)
        self._number = 0
        self._forget()

    def _forget(self) -> None:
        """What belongs to one step."""
        self._passes = Passes(self.settings.keep_tokens)
        self._sketch: Sketch | None = None
        self._tensors: dict[str, Tensor] = {}
        self._said: dict[str, Any] = {}

    # How it begins and ends.

    def install(self) -> None:
        """Watch whatever is trained from now on."""
        self._handles.append(register_module_forward_pre_hook(self._on_any_call))
        self._around_steps += [
            register_optimizer_step_pre_hook(self._on_step),
            register_optimizer_step_post_hook(self._on_stepped),
        ]

    def attach(self, model: nn.Module, optimizer: Any = None) -> None:
        """Watch this model, and the steps of this optimizer alone. Raises ValueError if it is no language model."""
        found = find(model)
        if found is None:
            raise ValueError(f"{type(model).__name__} has no output head that can be found")
        self._only = optimizer
        self._around(optimizer)
        self._attach(found)

    def give_up(self, error: Exception) -> None:
        """Record no more, and say why."""
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        self.ended = True
        print(f"lockstep: the recording ends at step {self._number}: {why}", file=sys.stderr, flush=True)
        self._recording.ended(self._number, why)
        self.end()

    def end(self) -> None:
        """Watch no more; what is written stays."""
        self.ended = True
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        # torch is going through the hooks of the step: one that is taken out now breaks those of others
        # (torch/optim/optimizer.py, 2.13). It does nothing from here on.
        if not self.inside:
            for handle in self._around_steps:
                handle.remove()
            self._around_steps.clear()
        self._found = self._only = None
        self._forget()
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end(self._recording)

    # Forward passes.

    @_guarded
    def _on_any_call(self, module: nn.Module, _: Any) -> None:
        if type(module).__name__ == "DeepSpeedEngine":
            self._around(module.optimizer)
        if self._found is not None or not (module.training and self.learning) or id(module) in self._seen:
            return
        self._seen.add(id(module))
        found = find(module)
        if found is not None:
            self._attach(found)
            if module in (found.model, found.base):  # its own hooks come too late for this call
                self._passes.given = batch.under_way(module)

    def _attach(self, found: Found) -> None:
        self._found = found
        for module in {id(m): m for m in (found.model, found.base)}.values():
            self._handles.append(module.register_forward_pre_hook(self._on_call, with_kwargs=True))
        if found.norm is not None:
            self._handles.append(found.norm.register_forward_hook(self._on_normed))
        self._handles.append(found.head.register_forward_pre_hook(self._on_head))

    @_guarded
    def _on_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The outermost call is the one that tells: what it hands on may lack the labels."""
        if module.training and self.learning and self._passes.given is None:
            self._passes.given = batch.received(module, args, kwargs)

    @_guarded
    def _on_normed(self, module: nn.Module, _: Any, output: Any) -> None:
        if module.training and self.learning and isinstance(output, Tensor):
            self._passed(output)

    @_guarded
    def _on_head(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self._found is not None and self._found.norm is None and module.training and self.learning:
            self._passed(args[0])
        self._look()

    def _passed(self, hidden: Tensor) -> None:
        """A forward pass has come to its last hidden states [..., width]."""
        given, self._passes.given = self._passes.given, None
        if given is None or self._found is None:  # a second pass through the norm
            return
        if self.settings.watched(self._number):
            self._passes.take(self._found, hidden, given)
            self._look()

    def _look(self, last: bool = False) -> None:
        """Ask the head about the hidden states that wait, if it is whole now. A tied one must wait for the step: rows
        of tokens that are in an input of any rank are left out, for their gradient is the input's as well."""
        found = self._found
        if found is None or not self._passes.waits or (found.tied and not last):
            return
        weight = found.head.weight
        if isinstance(weight, Tensor) and weight.dim() == 2 and weight.numel() and not hasattr(weight, "placements"):
            bias = getattr(found.head, "bias", None)
            self._passes.look(weight.detach(), bias if isinstance(bias, Tensor) else None, found.bend, self._by(found))

    def _by(self, found: Found) -> Sketch:
        """The map of the head's gradient in this step."""
        if self._sketch is None:
            vocabulary, width = shape_of(found.weight)
            self._sketch = sketch.of_head(vocabulary, width, found.weight.device)
        return self._sketch

    # Optimizer steps.

    def _around(self, optimizer: Any) -> None:
        """An engine's optimizer that is none of torch's: its step, on this object alone."""
        if optimizer is None or self._engine is optimizer or isinstance(optimizer, torch.optim.Optimizer):
            return
        self._engine, step = optimizer, optimizer.step

        @functools.wraps(step)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._on_step(optimizer)
            result = step(*args, **kwargs)
            self._on_stepped(optimizer)
            return result

        optimizer.step = watched

    def _mine(self, optimizer: Any) -> Found | None:
        """The model that is watched, if this optimizer is the outermost that steps it."""
        found, only = self._found, self._only if self._engine is None else self._engine
        if found is None or only is not None:
            return found if optimizer is only else None
        ours = {id(p) for p in found.model.parameters()}
        return found if any(id(p) in ours for group in optimizer.param_groups for p in group["params"]) else None

    @_guarded
    def _on_step(self, optimizer: Any, *_: Any) -> None:
        found = self._mine(optimizer)
        if found is None or not self.settings.watched(self._number):
            return
        self._recording.begin(found, optimizer)
        self._said["groups"] = samples.groups(optimizer)
        self._said["count"] = samples.count(optimizer)
        if found.tied:
            self._leave_out_inputs(found)
        self._look(last=True)
        if self._passes.waits:
            self._passes.unknown.append("the head was in pieces whenever hidden states were there")
        self._keep("before", found, optimizer)

    def _leave_out_inputs(self, found: Found) -> None:
        ids = torch.cat([torch.zeros(0, dtype=torch.int64), *self._passes.inputs])
        try:
            every = exchange.united(self._recording.folder, self._number, self._recording.rank, about.world(), ids)
        except exchange.Alone as error:
            self._passes.unknown.append(str(error))
            return
        by = self._by(found)
        self._sketch = Sketch(by.rows.without(every.to(by.rows.place.device)), by.columns)
        if not bool(self._sketch.rows.sign.any()):
            self._passes.unknown.append("the embeddings are tied, and every token of the vocabulary is in an input")

    def _keep(self, when: str, found: Found, optimizer: Any) -> None:
        """The optimizer's state, of the head as sketches and of every parameter by samples."""
        held = piece(found.weight, optimizer)
        if held is None or not found.weight.requires_grad:
            trained = found.weight.requires_grad
            self._passes.unknown.append("the head's state cannot be found" if trained else "the head is frozen")
        else:
            self._said["layout"] = "whole" if held.whole else "part"
            for kind, values in held.values.items():
                sketched = self._by(found).of_flat(values, held.start, shape_of(found.weight)[1])
                self._tensors[f"{when}/head/{kind}"] = sketched
        for kind, values in samples.sample(samples.trained(found.model), optimizer).items():
            self._tensors[f"{when}/sample/{kind}"] = values

    @_guarded
    def _on_stepped(self, optimizer: Any, *_: Any) -> None:
        found = self._mine(optimizer)
        if found is None:
            return
        if self.settings.watched(self._number):
            self._keep("after", found, optimizer)
            self._write()
        self._number += 1
        self._forget()
        self.seconds = 0.0
        if self.settings.last is not None and self._number > self.settings.last:
            self.end()

    def _write(self) -> None:
        passes = self._passes
        tensors = {**self._tensors, **passes.tensors()}
        said = {
            **self._said,
            "shapes": {name: list(tensor.shape) for name, tensor in sorted(tensors.items())},
            "passes": passes.number,
            "texts": passes.texts,
            "unknown": sorted(set(passes.unknown)),
            "seconds": round(self.seconds, 6),
        }
        self._recording.step(self._number, said, tensors)
        self.written = self._number
