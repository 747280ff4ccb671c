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

from lockstep_recorder import about, batch, compiled, exchange, flattened, samples
from lockstep_recorder.asked import Asked, Unasked
from lockstep_recorder.model import Found, find
from lockstep_recorder.passes import Passes
from lockstep_recorder.recording import Recording
from lockstep_recorder.schedulers import Schedulers
from lockstep_recorder.settings import Settings
from lockstep_recorder.sketch import Sketch
from lockstep_recorder.state import GRADIENT, dtypes, inner, shape_of, steps


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    """An error ends the recording, and not the training. `learning`: whether the caller computes gradients."""

    @functools.wraps(method)
    def call(self: Watcher, *args: Any, **kwargs: Any) -> None:
        if torch.compiler.is_compiling() or self.ended:  # what is compiled shall be what it would be
            return
        begun, spent = time.perf_counter(), self.seconds
        self.learning = torch.is_grad_enabled()
        was, self.inside = self.inside, True
        try:
            with torch.no_grad():
                method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  whatever it is, it is ours, and the training is the user's
            self.give_up(error)
        self.inside = was
        self.seconds = spent + time.perf_counter() - begun

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
        self._search: Any = None
        """That of every module's call, until the model is found."""
        self._around_steps: list[Any] = []
        self._seen: set[int] = set()
        self._asked: Asked | None = None
        self._engine: Any = None
        self._only: Any = None
        """The optimizer whose steps count, if it was named."""
        self._leader: Any = None
        """The optimizer whose steps are counted."""
        self._within: Any = None
        """The optimizer that is stepping; it may have others step for it."""
        self._others: set[int] = set()
        self._units: dict[int, Any] = {}
        """Of FSDP's first kind."""
        self._is_compiled = False
        self._again_now = False
        """Whether a compiled model is being run once more."""
        self._blind = ""
        """Why no forward pass can be seen."""
        self._schedulers = Schedulers()
        self._recording = Recording(settings.out)
        self._number = 0
        self._forget()

    def _forget(self) -> None:
        """What belongs to one step."""
        self._passes = Passes(self.settings.keep_tokens)
        if self._blind:
            self._passes.unknown.append(self._blind)
        self._sketch: Sketch | None = None
        self._tensors: dict[str, Tensor] = {}
        self._said: dict[str, Any] = {}
        self._stepped: dict[int, float] = {}
        """By id of a parameter that another optimizer has stepped: the square of its gradient's length."""

    # How it begins and ends.

    def install(self) -> None:
        """Watch whatever is trained from now on."""
        if self._asked is None:
            self._search = register_module_forward_pre_hook(self._on_any_call)
            self._handles.append(self._search)
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
        self._attach(model, found)

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
        self._asked = self._only = None
        self._forget()
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end(self._recording)

    # Forward passes.

    @_guarded
    def _on_any_call(self, module: nn.Module, _: Any) -> None:
        if type(module).__name__ == "DeepSpeedEngine":
            self._around(module.optimizer)
        if self._asked is not None or not (module.training and self.learning) or id(module) in self._seen:
            return
        self._seen.add(id(module))
        found = find(module)
        if found is None:
            return
        self._attach(module, found)
        if self._is_compiled:  # its own hooks come too late for this call
            self._again(batch.under_way(module))
        elif module in (found.model, found.base):
            self._passes.given = batch.under_way(module)

    def _attach(self, called: nn.Module, found: Found) -> None:
        if self._search is not None:
            self._search.remove()
        self._units |= flattened.units(called)
        self._is_compiled = compiled.hidden(called, found)
        if self._is_compiled:
            self._handles.append(called.register_forward_pre_hook(self._on_compiled, with_kwargs=True))
        self._asked = asked = Asked(found, self._units)
        for module in {id(m): m for m in (found.model, found.base)}.values():
            self._handles.append(module.register_forward_pre_hook(self._on_call, with_kwargs=True))
        if asked.inside is not None and asked.inside.layer is not None:
            self._handles += [m.register_forward_hook(self._on_inside) for m in asked.inside.candidates]
            self._handles.append(asked.inside.layer.register_forward_hook(self._on_layer))
        if found.norm is not None:
            self._handles.append(found.norm.register_forward_hook(self._on_normed))
        self._handles.append(found.head.register_forward_pre_hook(self._on_head))

    @_guarded
    def _on_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The outermost call is the one that tells: what it hands on may lack the labels."""
        if self._is_compiled and not self._again_now:
            return
        if module.training and self.learning and self._passes.given is None:
            self._passes.given = batch.received(module, args, kwargs)

    @_guarded
    def _on_compiled(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if module.training and self.learning:
            self._again(batch.received(module, args, kwargs))

    def _again(self, given: dict[str, Any] | None) -> None:
        """A compiled model is called: run it once more as it is written."""
        if self._asked is None or self._again_now or not self.settings.watched(self._number):
            return
        if given is None:
            self._passes.skip("the call of the compiled model cannot be read")
        elif (why := compiled.why_not(self._asked.found)) is not None:
            self._passes.skip(why)
        else:
            self._again_now, self._passes.given = True, None
            compiled.once_more(self._asked.found, given)
            self._again_now, self._passes.given = False, None

    @_guarded
    def _on_inside(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Also where no gradient is computed: a layer that is run again in the backward pass is run so at first."""
        if self._asked is not None and self._asked.inside is not None and module.training:
            self._asked.inside.called(module, args, output)

    @_guarded
    def _on_layer(self, module: nn.Module, _: Any, output: Any) -> None:
        if self._asked is not None and self._asked.inside is not None and module.training:
            self._asked.inside.layer_called(output)

    @_guarded
    def _on_normed(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if module.training and self.learning and isinstance(output, Tensor):
            self._passed(args[0] if args and isinstance(args[0], Tensor) else None, output)

    @_guarded
    def _on_head(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self._asked is not None and self._asked.found.norm is None and module.training and self.learning:
            self._passed(None, args[0])
        self._look()

    def _passed(self, into_norm: Tensor | None, hidden: Tensor) -> None:
        """A forward pass has come to its last hidden states [..., width]."""
        given, self._passes.given = self._passes.given, None
        if given is None or self._asked is None or not self.settings.watched(self._number):  # None: not the model's own
            return
        try:
            self._passes.take(self._asked.found.ends, self._asked.states(into_norm, hidden), given)
        except Unasked as error:
            self._passes.skip(str(error))
        self._look()

    def _look(self, last: bool = False) -> None:
        """Ask the head about the states that wait, if it is whole now."""
        asked = self._asked
        if asked is None or not self._passes.waits or (asked.waits and not last):
            return
        if (head := asked.head()) is not None:
            self._passes.look(head, self._by(asked))

    def _by(self, asked: Asked) -> Sketch:
        """The map of the gradient in this step."""
        if self._sketch is None:
            self._sketch = asked.sketch()
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

    def _mine(self, optimizer: Any) -> Asked | None:
        """What is asked of the model that is watched, if this optimizer is the outermost that steps it."""
        asked, only = self._asked, self._only if self._engine is None else self._engine
        if asked is None or only is not None:
            return asked if optimizer is only else None
        if self._within is not None and self._within is not optimizer:
            return None
        ours = {id(p) for p in asked.found.model.parameters()}
        mine = [p for group in optimizer.param_groups for p in group["params"] if id(p) in ours]
        if mine and self._leads(asked.found, optimizer):
            return asked
        if self.settings.watched(self._number):
            self._stepped |= {id(p): samples.squares(p.grad) for p in mine if p.grad is not None}
        if not mine:
            self._another(optimizer)
        return None

    def _leads(self, found: Found, optimizer: Any) -> bool:
        """Of several that step one model, the one that has the head tells the steps; where none has it, the first."""
        anybody = not found.weight.requires_grad or bool(self._units) or id(optimizer) in self._others
        if steps(found.weight, optimizer) or (self._leader is None and anybody):
            self._leader = optimizer
        self._others.add(id(optimizer))
        return self._leader is optimizer

    @_guarded
    def _on_step(self, optimizer: Any, *_: Any) -> None:
        if self._asked is None:
            self._hidden(optimizer)
        asked = self._mine(optimizer)
        if asked is None:
            return
        self._within = optimizer
        if not self.settings.watched(self._number):
            return
        self._recording.begin(asked.found, optimizer)
        self._said["groups"] = samples.groups(optimizer)
        self._said["count"] = samples.count(optimizer)
        self._said["schedulers"] = self._schedulers.moved(optimizer)
        if asked.waits:
            self._leave_out_inputs(asked)
        self._look(last=True)
        if self._passes.waits:
            self._passes.unknown.append("the head was in pieces whenever hidden states were there")
        self._keep("before", asked, optimizer)

    def _another(self, optimizer: Any) -> None:
        """An optimizer steps, and not the model that is watched: said once."""
        if self._asked is not None and self._engine is None and id(optimizer) not in self._seen:
            self._seen.add(id(optimizer))
            print("lockstep: another model is trained as well, which is not recorded", file=sys.stderr, flush=True)

    def _hidden(self, optimizer: Any) -> None:
        """An optimizer steps, and no call of a model was seen."""
        if id(optimizer) in self._seen:
            return
        self._seen.add(id(optimizer))
        if (found := compiled.of_optimizer(optimizer)) is not None:
            self._asked = Asked(found, self._units)
            self._blind = (
                "the model is compiled in place, so that its calls are not seen: torch.compile(model) shows them"
            )
            self._passes.unknown.append(self._blind)

    def _leave_out_inputs(self, asked: Asked) -> None:
        ids = torch.cat([torch.zeros(0, dtype=torch.int64), *self._passes.inputs])
        try:
            every = exchange.united(self._recording.folder, self._number, self._recording.rank, about.world(), ids)
        except exchange.Alone as error:
            self._passes.unknown.append(str(error))
            return
        by = self._by(asked)
        self._sketch = Sketch(by.rows.without(every.to(by.rows.place.device)), by.columns)
        if not bool(self._sketch.rows.sign.any()):
            self._passes.unknown.append("the embeddings are tied, and every token of the vocabulary is in an input")

    def _keep(self, when: str, asked: Asked, optimizer: Any) -> None:
        """The optimizer's state, of the matrix that is asked as sketches and of every parameter by samples."""
        parameters = samples.trained(asked.found.model)
        every = samples.pieces(parameters, optimizer)
        if when == "before":
            told, whole = samples.given_squares(parameters, every, self._stepped)
            self._tensors["before/sample/grad_squares"] = told
            self._said["all_squares"] = whole
        self._said |= {what: names for what, names in dtypes(every).items() if names}
        for kind, values in samples.sample(every).items():
            self._tensors[f"{when}/sample/{kind}"] = values
        try:
            held, by = asked.held(optimizer), self._by(asked)
        except Unasked as error:
            self._passes.unknown.append(str(error))
            return
        self._said["layout"] = "whole" if held.whole else "part"
        if when == "after" and held.values and "exp_avg" not in held.values and GRADIENT not in held.values:
            name = type(inner(optimizer)).__name__
            self._passes.unknown.append(f"{name} keeps no mean of its gradients, and the engine has none for it")
        for kind, values in held.values.items():
            self._tensors[f"{when}/head/{kind}"] = by.of_flat(values, held.start, shape_of(asked.weight)[1])

    @_guarded
    def _on_stepped(self, optimizer: Any, *_: Any) -> None:
        asked = self._asked
        if asked is None or self._within is not optimizer:
            return
        self._within = None
        if self.settings.watched(self._number):
            self._keep("after", asked, optimizer)
            self._write(asked)
        self._number += 1
        self._forget()
        self.seconds = 0.0
        if self.settings.last is not None and self._number > self.settings.last:
            self.end()

    def _write(self, asked: Asked) -> None:
        passes = self._passes
        tensors = {**self._tensors, **passes.tensors()}
        try:
            self._said["asked"] = asked.name()
            if "token/delta" in tensors:
                tensors["token/delta"] = tensors["token/delta"] * asked.factor()
        except Unasked as error:
            passes.unknown.append(str(error))
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
