"""A trained matrix of the last attention, which is asked where no other can be: the last layer is run once more.

In front of an attention a token's gradient is no outer product, for its loss reaches the tokens before it as well. So
the layer is run again in float32, on what it was given and with the same random numbers, and one backward pass for each
token has its gradient, entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lockstep_recorder.head import AT_ONCE, Head
from lockstep_recorder.inside import attentions
from lockstep_recorder.sketch import COLUMNS, SEED, Axis, Sketch, axis
from lockstep_recorder.state import is_piece

PLACES = 4096
"""Of the flattened matrix."""
TOKENS = 2048
"""Of a pass: each costs a backward pass of the layer."""
ENTRIES = 2**22
"""Of the matrix."""
ALIKE = 0.02
"""Share of the layer's output by which it may come out otherwise: what was rounded to 16 bits is not, here."""
NOTHING = 1e-5
"""Share of what mostly arrives of a gradient at the layer's output, below which nothing does."""
LEFT_OUT: Mapping[str, Any] = {"past_key_values": None, "past_key_value": None, "use_cache": False}
"""Arguments of a layer that would have it write down its keys twice."""


class NotAgain(Exception):
    """The layer cannot be run again; the message says why."""


class Again:
    """Of one model's last layer."""

    def __init__(self, layer: nn.Module | None, units: Iterable[Any]) -> None:
        """units: those of FSDP's first kind."""
        self.layer = layer
        self.module = None if layer is None else _matrix(layer)
        self.running = False
        """Whether the layer is being run once more, so that its hooks must not look."""
        in_pieces = any(units) or any(is_piece(p) for p in (layer.parameters() if layer is not None else ()))
        self.is_possible = self.module is not None and not in_pieces
        self._call: Call | None = None

    def forget(self) -> None:
        """What belongs to one step."""
        self._call = None

    def called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The layer is, with these."""
        if self.is_possible:
            self._call = Call(self, args, kwargs, _random())

    def call(self, output: Tensor) -> Call:
        """The call of this pass, which had this output [..., width]. Raises NotAgain."""
        call, self._call = self._call, None
        if call is None:
            raise NotAgain("the call of the last layer was not seen")
        if output[..., 0].numel() > TOKENS:
            raise NotAgain(f"more than {TOKENS} tokens of a pass take too long by a matrix of the last attention")
        return replace(call, output=output.detach().reshape(-1, output.shape[-1]))

    def sketch(self, device: torch.device) -> Sketch:
        """The map of its gradient, which is taken for one column."""
        weight: Any = self.module and self.module.weight
        rows: Axis = axis(weight.numel(), PLACES, SEED, device)
        return Sketch(rows, axis(1, COLUMNS, SEED + 1, device))


@dataclass(frozen=True)
class Call:
    """A call of the layer."""

    of: Again
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    random: list[Tensor]
    """States of the generators, of the CPU and of the GPU."""
    output: Tensor | None = None
    """[all tokens, width], as it was."""
    place: Tensor | None = None
    """int64 [n]: tokens that are asked, among all."""

    def gradients(self, head: Head, by: Axis, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each token asked, whose targets are int64 [n]: its gradient of the flattened matrix as a sketch, float32
        [n, places], the length of that gradient, and the loss, [n] each. Raises NotAgain."""
        output, weight = self._run()
        place = torch.arange(len(output)) if self.place is None else self.place
        losses, deltas = self._deltas(head, output[place], targets)
        rows, lengths = [], []
        for at, delta in zip(place, deltas, strict=True):
            one = torch.zeros_like(output)
            one[at] = delta
            (gradient,) = torch.autograd.grad(output, weight, one, retain_graph=True)
            rows.append(by.apply(gradient.reshape(1, -1), 1))
            lengths.append(gradient.norm())
        length = torch.stack(lengths)
        arrives = length / deltas.norm(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        if float(arrives.min()) < NOTHING * float(arrives.median()):
            raise NotAgain(
                "some tokens have no gradient in the last attention's matrix, as in queries of a first token"
            )
        return torch.cat(rows), length, losses

    def _deltas(self, head: Head, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The losses [n], and their gradient at the layer's output, [n, width]."""
        parts = zip(torch.split(states, AT_ONCE), torch.split(targets, AT_ONCE), strict=True)
        losses, deltas = zip(*(head.losses_before_norm(one, wanted) for one, wanted in parts), strict=True)
        return torch.cat(losses), torch.cat(deltas)

    def _run(self) -> tuple[Tensor, Tensor]:
        """The output, and the matrix that it is made of: both float32, with a graph."""
        layer, module = self.of.layer, self.of.module
        assert layer is not None
        assert module is not None
        assert self.output is not None
        mine: Any = module.weight
        tensors = {f"layer.{n}": t for n, t in (*layer.named_parameters(), *layer.named_buffers())}
        swapped = {name: t.detach().float() for name, t in tensors.items() if t.is_floating_point()}
        weight = next(swapped[name].requires_grad_() for name, t in tensors.items() if t is mine)
        left_out = {name: value for name, value in LEFT_OUT.items() if name in self.kwargs}
        args, kwargs = _fine(self.args), _fine({**self.kwargs, **left_out})
        device = weight.device
        self.of.running = True
        try:
            devices = [device] if device.type == "cuda" else []
            with torch.random.fork_rng(devices), torch.autocast(device.type, enabled=False):
                _restore(self.random, device)
                given = torch.func.functional_call(_Forward(layer), swapped, args, kwargs)
        except Exception as error:  # noqa: BLE001  anybody's layer: the step is unknown, and training goes on
            raise NotAgain(f"the last layer cannot be run again in float32 ({type(error).__name__})") from None
        finally:
            self.of.running = False
        first = given[0] if isinstance(given, tuple) else given
        output: Tensor = first.reshape(-1, first.shape[-1])
        was = self.output.float()
        if not float((output.detach() - was).norm()) <= ALIKE * float(was.norm()):
            raise NotAgain("the last layer gives something else when it is run again")
        return output, weight


class _Forward(nn.Module):
    """A layer without the hooks and wrappers of its call, such as gradient checkpointing."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer.forward(*args, **kwargs)


def _fine(given: Any) -> Any:
    """Arguments, with every number in float32 and without a graph."""
    if isinstance(given, Tensor):
        return given.detach().float() if given.is_floating_point() else given
    if isinstance(given, (tuple, list)):
        return type(given)(_fine(each) for each in given)
    return {name: _fine(each) for name, each in given.items()} if isinstance(given, dict) else given


def _random() -> list[Tensor]:
    cuda: Any = torch.cuda  # torch has no types for it
    return [torch.get_rng_state(), *([cuda.get_rng_state()] if cuda.is_initialized() else [])]


def _restore(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1])


def _matrix(layer: nn.Module) -> nn.Module | None:
    """The last linear module of an attention that is trained, such as `lora_B` of `v_proj`."""
    inner = [m for attention in attentions(layer) for m in attention.modules() if isinstance(m, nn.Linear)]
    trained: list[Any] = [m for m in inner if m.weight.requires_grad]
    small = [m for m in trained if m.weight.numel() <= ENTRIES]
    return small[-1] if small else None
