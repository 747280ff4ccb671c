"""A trained matrix behind the last attention, which is asked where the head cannot be: as it is frozen, or in pieces.

What comes out of it is added to what the last norm is fed with, so that a token's gradient of it is one outer product
too: of what went into it, and of the loss's gradient at the norm's input. That it is only added, and times what, is
read from autograd's graph and not assumed; where parameters are in pieces, from a backward pass as it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lockstep_recorder import flattened
from lockstep_recorder.state import is_piece

LINEAR = frozenset(
    f"{name}Backward{n}"
    for name in ("Add", "Mul", "ToCopy", "View", "UnsafeView", "ReshapeAlias", "Alias", "Clone", "Squeeze", "Unsqueeze")
    for n in (0, 1)
)
"""Nodes of autograd's graph that may lie between the two. A product may have the layer run again."""


class NotInside(Exception):
    """No matrix of the last layer can be asked; the message says why."""


class Inside:
    """The matrix that was called last before the norm, in every forward pass."""

    def __init__(self, base: nn.Module, width: int, units: tuple[Any, ...]) -> None:
        """width: of the hidden states. units: those of FSDP's first kind."""
        self.layer = _last_layer(base)
        inner = self.layer.modules() if self.layer is not None else ()
        self.candidates = [m for m in inner if _is_trained_matrix(m, width, units)]
        self._attending = {id(m) for each in attentions(self.layer) for m in each.modules()}
        self._in_pieces = bool(units) or any(is_piece(m.weight) for m in self.candidates)
        self.times: float | None = None
        """What its output is multiplied by before it is added; None until a graph has shown it."""
        self._module: nn.Module | None = None
        self._why = "no trained matrix of the last layer is called"
        self._called: nn.Module | None = None
        self._given: Tensor | None = None
        self._output: Tensor | None = None
        self._layer_output: Tensor | None = None
        self._tried = False
        """Whether this step has looked for `times`."""

    def forget(self) -> None:
        """What belongs to one step."""
        self.times, self._tried = None, False
        self._given = self._output = self._layer_output = None

    def called(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """A candidate has been."""
        if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            self._called, self._given = module, args[0].detach()
            self._output = None if self._tried else output

    def layer_called(self, output: Any) -> None:
        """The last layer has been. Where it is run again for its backward pass, its graph is there only then."""
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor):
            return
        if not self._tried and self._output is not None and first.grad_fn is not None:
            if self._in_pieces:  # to run it again would need all ranks
                Backward(self._output, first, self._came)
            else:
                self._tried, self.times = True, added(self._output, first)
        self._layer_output, self._output = first.detach(), None

    @property
    def adds(self) -> bool:
        """Whether what the last matrix gives is only added, as far as this pass can tell."""
        waits = not self._tried and self._called is not None and id(self._called) not in self._attending
        return self._in_pieces or self.times is not None or waits

    def _came(self, times: float | None) -> None:
        if not self._tried:
            self._tried, self.times = True, times

    def given(self, normed: Tensor) -> Tensor:
        """What went into the matrix [tokens, width], once the norm is called with `normed`. Raises NotInside."""
        found, self._given = self._given, None
        if found is None:
            raise NotInside(self._why)
        flat = found.reshape(-1, found.shape[-1])
        if len(flat) != normed.numel() // normed.shape[-1]:
            self._why = "the last layer deals its tokens out to experts"
            raise NotInside(self._why)
        if self._layer_output is None or not _same(self._layer_output, normed):
            self._why = "the last norm is not fed with what the last layer gives"
            raise NotInside(self._why)
        self._module = self._called  # what is run again in the backward pass may end before it
        return flat

    @property
    def module(self) -> nn.Module:
        """Whose matrix is asked. Raises NotInside."""
        if self._module is None:
            raise NotInside(self._why)
        return self._module

    @property
    def turned(self) -> bool:
        """Whether its rows are what goes in, as in GPT-2's layers."""
        return not isinstance(self._module, nn.Linear)


class Backward:
    """Tells the number c of `whole = c part + something else` by the gradients of both in the next backward pass."""

    def __init__(self, part: Any, whole: Any, told: Callable[[float | None], None]) -> None:
        """told: called with it, or with None where there is no such number; not where the gradient is zero."""
        self._told = told
        self._of_whole: Tensor | None = None
        whole.register_hook(self._whole_came)
        part.register_hook(self._part_came)

    def _whole_came(self, gradient: Tensor) -> None:
        self._of_whole = gradient.detach()

    def _part_came(self, gradient: Tensor) -> None:
        of_whole, self._of_whole = self._of_whole, None
        if of_whole is None or of_whole.shape != gradient.shape:
            self._told(None)
        elif bool(of_whole.any()):
            self._told(ratio(gradient.detach(), of_whole))


def ratio(one: Tensor, other: Tensor) -> float | None:
    """The number c of `one = c other`, but for what their dtypes round; None where there is none."""
    rounding = max(torch.finfo(tensor.dtype).eps for tensor in (one, other))
    one, other = one.double(), other.double()
    times = float((one * other).sum() / other.square().sum())
    return times if float((one - times * other).norm()) <= rounding * float(one.norm()) else None


def added(part: Tensor, whole: Tensor) -> float | None:
    """The number c of `whole = c part + something else`, by autograd's graph; None where it shows no such thing."""
    if part.grad_fn is None or whole.grad_fn is None:
        return None
    waiting: list[tuple[Any, Tensor]] = [(whole.grad_fn, torch.ones_like(whole, dtype=torch.float32))]
    arrived: list[Tensor] = []
    others: list[Any] = []
    while waiting:
        node, gradient = waiting.pop()
        if node is part.grad_fn:
            arrived.append(gradient)
        elif type(node).__name__ in LINEAR:
            parts = node(gradient)
            parts = parts if isinstance(parts, tuple) else (parts,)
            children = (child for child, _ in node.next_functions)
            waiting += [(c, p) for c, p in zip(children, parts, strict=True) if c is not None and p is not None]
        else:
            others.append(node)
    if len(arrived) != 1 or _reached(others, part.grad_fn):
        return None
    low, high = (float(each) for each in arrived[0].aminmax())
    return low if low == high else None


def _reached(begins: list[Any], end: Any) -> bool:
    """Whether one of some nodes of a graph leads to `end`."""
    seen, waiting = set(begins), list(begins)
    while waiting:
        for child, _ in waiting.pop().next_functions:
            if child is end:
                return True
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    return False


def _last_layer(base: nn.Module) -> nn.Module | None:
    """The last of the longest list of layers that is in no other list."""
    lists = [(name, m) for name, m in base.named_modules() if isinstance(m, nn.ModuleList) and len(m)]
    outer = [m for name, m in lists if not any(name.startswith(f"{other}.") for other, _ in lists if other != name)]
    return max(outer, key=len)[-1] if outer else None


def attentions(layer: nn.Module | None) -> list[nn.Module]:
    """Of a layer."""
    return [m for m in (layer.modules() if layer is not None else ()) if "attention" in type(m).__name__.lower()]


def _is_trained_matrix(module: nn.Module, width: int, units: tuple[Any, ...]) -> bool:
    """Whether a module is a linear layer to the width of the hidden states. GPT-2's are Conv1D, and lie turned."""
    if not (isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"):
        return False
    cut, weight = flattened.cut(module, units), module._parameters.get("weight")
    if not (cut.is_trained if cut is not None else weight is not None and weight.requires_grad):
        return False
    shape = flattened.shape(module, units)
    return len(shape) == 2 and shape[0 if isinstance(module, nn.Linear) else 1] == width


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and (one.data_ptr() == other.data_ptr() or torch.equal(one, other))
