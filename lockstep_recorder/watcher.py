"""The life of a recording: finds the model, looks at its forward passes, and at the optimizer around its step."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from lockstep_recorder import batch, compiled
from lockstep_recorder.asked import Asked, Unasked
from lockstep_recorder.inside import Inside
from lockstep_recorder.kept import Kept
from lockstep_recorder.model import Found, find
from lockstep_recorder.recording import Recording, told
from lockstep_recorder.scalers import Scalers
from lockstep_recorder.schedulers import Schedulers
from lockstep_recorder.settings import Settings
from lockstep_recorder.state import inner, is_adam
from lockstep_recorder.stepping import Stepping


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    """An error ends the recording, and not the training. `learning`: whether the caller computes gradients."""

    @functools.wraps(method)
    def call(self: Watcher, *args: Any, **kwargs: Any) -> None:
        if torch.compiler.is_compiling() or self.ended or _is_captured():  # what is compiled stays what it would be
            return
        begun, spent = time.perf_counter(), self.seconds
        self.learning = torch.is_grad_enabled()
        was, self.inside = self.inside, True
        try:
            with torch.no_grad():
                method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  whatever it is, it is ours, and the training is the user's
            with contextlib.suppress(Exception):
                self.give_up(error)
        finally:
            self.inside = was
            self.seconds = spent + time.perf_counter() - begun

    return call


def _is_captured() -> bool:
    """Whether a CUDA graph is being captured, which nothing else may go into."""
    cuda: Any = torch.cuda  # torch has no types for one of the two
    return bool(cuda.is_initialized() and cuda.is_current_stream_capturing())


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
        self._stepping = Stepping()
        self._life: weakref.ref[Any] | None = None
        """Of the optimizer."""
        self._unseen: Any = None
        """An optimizer that steps while no model is found yet."""
        self._is_compiled = False
        self._called: nn.Module | None = None
        """The outermost module, whose call is that of the model."""
        self._scalers = Scalers()
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
        self._kept = Kept(self.settings.keep_tokens)
        self._normed: Tensor | None = None
        if self._asked is not None:
            self._asked.forget()
        if self._blind:
            self._kept.passes.unknown.append(self._blind)
        self._stepping.given.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of the model has copies of the hooks: those do nothing."""
        return _inert, ()

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
        self._attach(model, found)
        self._stepping.only = optimizer
        self._stepping.around(optimizer, self._on_step, self._on_stepped)

    def give_up(self, error: Exception) -> None:
        """Record no more, and say why."""
        self.ended = True
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        line = f"lockstep: the recording ends at step {self._number}: {why}"
        kept = functools.partial(self._recording.ended, self._number, told(error))
        for part in (functools.partial(print, line, file=sys.stderr, flush=True), kept, self.end):
            with contextlib.suppress(Exception):  # if nothing can be said, the hooks go all the same
                part()

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
        self._asked, self._called, self._stepping = None, None, Stepping()
        self._forget()
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end(self._recording)

    # Forward passes.

    @_guarded
    def _on_any_call(self, module: nn.Module, _: Any) -> None:
        if self._asked is not None or not (module.training and self.learning) or id(module) in self._seen:
            return
        self._seen.add(id(module))
        found = find(module)
        if found is None:
            return
        self._attach(module, found)
        given = batch.under_way(module)  # its own hooks come too late for this call
        if self._is_compiled:
            self._again(given)
        elif given is not None:
            self._kept.passes.given.append(given)

    def _attach(self, called: nn.Module, found: Found) -> None:
        if self._search is not None:
            self._search.remove()
        self._called = called
        for module in called.modules():  # an engine may be inside of what is called
            if type(module).__name__ == "DeepSpeedEngine":
                self._stepping.around(module.optimizer, self._on_step, self._on_stepped)
        self._is_compiled = compiled.hidden(called, found)
        if any(type(m).__name__ == "DataParallel" for m in called.modules()):
            self._blind = "the model is in nn.DataParallel, whose threads run copies of it at once"
            self._kept.passes.unknown.append(self._blind)
        if self._is_compiled:
            self._handles.append(called.register_forward_pre_hook(self._on_compiled, with_kwargs=True))
        self._asked = asked = Asked(found)
        for module in {id(m): m for m in (called, found.model, found.base)}.values():
            self._handles.append(module.register_forward_pre_hook(self._on_call, with_kwargs=True))
        if asked.inside is not None and asked.inside.layer is not None:
            self._handles += [m.register_forward_hook(self._on_inside) for m in asked.inside.candidates]
            self._handles.append(asked.inside.layer.register_forward_pre_hook(self._on_layer_call, with_kwargs=True))
            self._handles.append(asked.inside.layer.register_forward_hook(self._on_layer))
        if found.norm is not None:
            self._handles.append(found.norm.register_forward_hook(self._on_normed))
        self._handles.append(found.head.register_forward_pre_hook(self._on_head))

    @_guarded
    def _on_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if (self._is_compiled and not self._again_now) or not self.settings.watched(self._number):
            return
        if module is self._called:  # of a pass that was broken off, nothing stays
            self._kept.passes.given = []
        if module.training and self.learning:
            self._kept.passes.given.append(batch.received(module, args, kwargs))

    @_guarded
    def _on_compiled(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._asked is not None and module.training and self.learning:
            self._again(batch.received(self._asked.found.model, args, kwargs))

    def _again(self, given: dict[str, Any] | None) -> None:
        """A compiled model is called: run it once more as it is written."""
        if self._asked is None or self._again_now or not self.settings.watched(self._number):
            return
        if given is None:
            self._kept.passes.skip("the call of the compiled model cannot be read")
        elif (why := compiled.why_not(self._asked.found)) is not None:
            self._kept.passes.skip(why)
        else:
            self._again_now, self._kept.passes.given = True, []
            compiled.once_more(self._asked.found, given)
            self._again_now, self._kept.passes.given = False, []

    @_guarded
    def _on_inside(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Also where no gradient is computed: a layer that is run again in the backward pass is run so at first."""
        if (inside := self._inside(module)) is not None:
            inside.called(module, args, output)

    @_guarded
    def _on_layer_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._inside(module) is not None and self._asked is not None:
            self._asked.again.called(args, kwargs)

    @_guarded
    def _on_layer(self, module: nn.Module, _: Any, output: Any) -> None:
        if (inside := self._inside(module)) is not None:
            inside.layer_called(output)

    def _inside(self, module: nn.Module) -> Inside | None:
        """What looks at the last layer, if this is a pass of a watched step."""
        watched = module.training and self.settings.watched(self._number)
        if self._asked is None or self._asked.again.running or not watched:
            return None
        return self._asked.inside

    @_guarded
    def _on_normed(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if module.training and self.learning and isinstance(output, Tensor):
            self._normed = output.detach() if self._kept.passes.given else self._normed
            self._passed(args[0] if args and isinstance(args[0], Tensor) else None, output)

    @_guarded
    def _on_head(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self._asked is not None and self._asked.found.norm is None and module.training and self.learning:
            self._passed(None, args[0] if args else None)
        if self.learning and args and isinstance(args[0], Tensor):
            self._fed(args[0].detach())
        self._look()

    def _fed(self, hidden: Tensor) -> None:
        """The head is called with these: are they what the last norm has given?"""
        normed, self._normed = self._normed, None
        if normed is None or normed.shape != hidden.shape or normed.data_ptr() == hidden.data_ptr():
            return
        if not torch.equal(normed.to(hidden.dtype), hidden):
            self._kept.passes.unknown.append("the head is not fed with what the last norm gives")

    def _passed(self, into_norm: Tensor | None, hidden: Any) -> None:
        """A forward pass has come to its last hidden states [..., width]."""
        passes, asked = self._kept.passes, self._asked
        watched = passes.given and self.settings.watched(self._number)  # else it is none of the model's own
        if watched and self._scalers.shrunk():  # fp16: what came before was skipped, as its gradient overflowed
            self._kept = Kept(self.settings.keep_tokens)
            self._kept.passes.given, passes = passes.given, self._kept.passes
        if asked is not None and watched and isinstance(hidden, Tensor):
            try:
                passes.take(asked.found.ends, asked.found.shape[0], asked.states(into_norm, hidden))
            except Unasked as error:
                passes.skip(str(error))
        passes.given = []
        self._look()

    def _look(self, last: bool = False) -> None:
        """Ask the head about the states that wait, if it is whole now."""
        asked = self._asked
        if asked is None or not self._kept.passes.waits or (asked.waits and not last):
            return
        if (head := asked.head()) is not None:
            self._kept.passes.look(head, self._kept.sketch(asked))

    # Optimizer steps.

    @_guarded
    def _on_step(self, optimizer: Any, args: tuple[Any, ...] = (), _: Any = None) -> None:
        if self._asked is None and id(optimizer) not in self._seen:
            self._seen.add(id(optimizer))
            self._hidden(optimizer)
        if self._asked is None:
            self._unseen = optimizer
        asked, watched = self._asked, self.settings.watched(self._number)
        if asked is None or not self._stepping.counts(asked, optimizer, watched):
            return
        if self._life is None and self._on_end is None:  # else who watches by code says when it ends
            self._life = weakref.ref(optimizer, lambda _: self._gone())
        if _overflows(optimizer):
            self._forget()
            return
        self._stepping.within = optimizer
        if not watched:
            return
        if any(callable(one) for one in args[1:]) and (asked.waits or not is_adam(inner(optimizer))):
            self._kept.passes.unknown.append("the optimizer calls the model itself, by a closure")
        self._recording.begin(asked.found, optimizer)
        self._kept.said["schedulers"] = self._schedulers.moved(optimizer)
        if asked.waits:
            self._kept.leave_out_inputs(asked, self._recording, self._number)
        self._look(last=True)
        if self._kept.passes.waits:
            self._kept.passes.unknown.append("the head was in pieces whenever hidden states were there")
        self._kept.before(asked, optimizer, self._stepping.given)

    def _hidden(self, optimizer: Any) -> None:
        """An optimizer steps for the first time, and no call of a model was seen."""
        if (found := compiled.of_optimizer(optimizer)) is not None:
            self._asked, self._blind = Asked(found), compiled.IN_PLACE
            self._kept.passes.unknown.append(self._blind)

    @_guarded
    def _on_stepped(self, optimizer: Any, *_: Any) -> None:
        asked, unseen, self._unseen = self._asked, self._unseen, None
        if asked is not None and unseen is optimizer:  # its closure was the model's first call: begun without us
            self._next()
        if asked is None or self._stepping.within is not optimizer:
            return
        self._stepping.within = None
        if getattr(optimizer, "overflow", False) is True:  # of DeepSpeed's fp16, which then has skipped it
            self._forget()
            return
        if self.settings.watched(self._number):
            self._kept.after(asked, optimizer)
            self._kept.write(asked, self._recording, self._number, self.seconds)
            self.written = self._number
        self._next()

    def _gone(self) -> None:
        """The optimizer is no more, and the training over: nothing here keeps the model's memory."""
        with contextlib.suppress(Exception):
            self.end()

    def _next(self) -> None:
        """A step is over."""
        self._number += 1
        self._forget()
        self.seconds = 0.0
        if self.settings.last is not None and self._number > self.settings.last:
            self.end()


def _overflows(optimizer: Any) -> bool:
    """Whether this step of a fused optimizer will do nothing, as fp16 overflowed."""
    found = getattr(optimizer, "found_inf", None)
    return isinstance(found, Tensor) and bool(found)


def _inert() -> Watcher:
    watcher = Watcher(Settings(""))
    watcher.ended = True
    return watcher
