"""What the output head of a model was given: the final norm's output, at every position that predicts something.

Nothing of the model is known beforehand but that it says which module is its head. What feeds it is the module whose
output is made last before it, in the shape of the tokens. The head itself may never be called: TRL's loss is computed
in pieces, from the head's matrix alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class HiddenStates:
    """Watches a model for what feeds its head. Where that cannot be told it keeps nothing, for the rest of the run."""

    def __init__(
        self, model: torch.nn.Module, hidden: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda hook: hook
    ) -> None:
        """hidden: what every hook is put into, such as what keeps it from being compiled."""
        self._head = _head(model)
        self._kept: dict[int, Tensor] = {}
        self._shape: tuple[int, ...] | None = None
        self._fed_by: torch.nn.Module | None = None
        self._last: tuple[torch.nn.Module, Tensor] | None = None
        self._given: Tensor | None = None
        self._hooks: dict[torch.nn.Module, Any] = {}
        self._lost = self._head is None
        if self._head is not None:
            # All of them in the first forward pass, from then on the one that was found in it.
            for module in _before(model, self._head):
                self._hooks[module] = module.register_forward_hook(hidden(self._after))
            self._hooks[self._head] = self._head.register_forward_pre_hook(hidden(self._before_head))

    def begin(self, ids: Tensor) -> None:
        """A forward pass of these token ids, [batch, length], begins."""
        self._shape, self._last, self._given = tuple(ids.shape), None, None

    def end(self, number: int, starts: Sequence[Sequence[int]]) -> None:
        """The forward pass of micro-batch `number` is over.

        starts: [batch][length], below 0 for padding and for nothing else. A position is kept if it is no padding and
        has another behind it, which it predicts. Modules that are computed again in the backward pass do not count.
        """
        shape, self._shape = self._shape, None
        if self._lost or shape is None:
            return
        if self._last is None or not self._fits(self._last[1]):
            self._lose()
            return
        if self._fed_by is None:
            self._settle(self._last[0])
        places = torch.tensor(
            [i * shape[1] + j for i, row in enumerate(starts) for j in range(shape[1] - 1) if row[j] >= 0],
            dtype=torch.int64,
        )
        output = self._last[1].detach().flatten(0, 1)
        self._kept[number] = output.index_select(0, places.to(output.device))
        self._last, self._given = None, None

    def take(self) -> dict[int, Tensor]:
        """What was kept since the last time: by micro-batch, [positions, hidden size], row by row, on its device.

        Empty from the first forward pass on in which it could not be told what feeds the head.
        """
        taken, self._kept = self._kept, {}
        return {} if self._lost else taken

    def _after(self, module: torch.nn.Module, _: Any, output: Any) -> None:
        if self._shape is not None and isinstance(output, Tensor) and self._is_hidden(output):
            self._last = (module, output)

    def _before_head(self, _: torch.nn.Module, args: tuple[Any, ...]) -> None:
        if self._shape is not None and args and isinstance(args[0], Tensor):
            self._given = args[0]

    def _is_hidden(self, output: Tensor) -> bool:
        width = getattr(self._head, "in_features", None)
        return output.dim() == 3 and tuple(output.shape[:2]) == self._shape and width in (None, output.shape[2])

    def _fits(self, output: Tensor) -> bool:
        """Whether the head was given that, or some positions of that, or was never called; asked once.

        It need not be given all positions (`logits_to_keep`): the first and the last that it was given must be there.
        """
        given = self._given
        if given is None or self._fed_by is not None:
            return True
        if given.dim() != 3 or given.shape[::2] != output.shape[::2] or not given.shape[1]:
            return False
        return all(bool((output == given[:, end]).all(-1).any(-1).all()) for end in (slice(0, 1), slice(-1, None)))

    def _settle(self, found: torch.nn.Module) -> None:
        self._fed_by = found
        for module in [m for m in self._hooks if m is not found]:
            self._hooks.pop(module).remove()

    def _lose(self) -> None:
        self._lost = True
        for hook in self._hooks.values():
            hook.remove()
        self._hooks.clear()
        self._kept.clear()


def _head(model: torch.nn.Module) -> torch.nn.Module | None:
    """The module that makes logits, as the model tells it by the method that every Hugging Face model has."""
    tell = getattr(model, "get_output_embeddings", None)
    found = tell() if callable(tell) else None
    return found if isinstance(found, torch.nn.Module) else None


def _before(model: torch.nn.Module, head: torch.nn.Module) -> list[torch.nn.Module]:
    """All modules that are not the head, part of it, or around it."""
    inside = set(head.modules())
    return [m for m in model.modules() if m not in inside and head not in set(m.modules())]
