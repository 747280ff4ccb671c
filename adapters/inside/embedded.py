"""What a model's first layer is given of the embedding: its output, with all that was added to it on the way there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Embedded:
    """Watches the embedding of a model. What is added to it in training (NEFTune) is known by this alone."""

    def __init__(self, model: torch.nn.Module, asked: bool, hidden: Callable[..., Any]) -> None:
        """asked: whether noise is to be added, so that all is kept whatever it is. hidden: as of `HiddenStates`."""
        tell = getattr(model, "get_input_embeddings", None)
        found = tell() if callable(tell) else None
        self._module = found if isinstance(found, torch.nn.Module) else None
        self._asked, self._hidden = asked, hidden
        self._hooked = False
        self._ids: Tensor | None = None
        self._last: Tensor | None = None
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def scale(self) -> float:
        """What the embedding itself multiplies its rows by, as Gemma's does in transformers 5."""
        return float(getattr(self._module, "embed_scale", 1.0))

    def begin(self, ids: Tensor) -> None:
        """A forward pass of these token ids, [batch, length], begins."""
        if not self._hooked and self._module is not None:
            # Not before: what a framework adds by a hook of its own, of which the last one sees all.
            self._module.register_forward_hook(self._hidden(self._after))
            self._hooked = True
        self._ids, self._last = ids, None

    def end(self, number: int, real: Tensor) -> None:
        """The forward pass of micro-batch `number` is over. real: bool [batch, length], tokens that are no padding."""
        ids, last, self._ids, self._last = self._ids, self._last, None, None
        if ids is not None and last is not None:
            self._kept[number] = (ids[real.to(ids.device)], last.detach()[real.to(last.device)])

    def take(self, count: int) -> dict[int, Tensor]:
        """Since the last time, by micro-batch: [tokens, hidden size], row by row, if `count` of them were seen, and
        noise is asked for or there is some."""
        taken, self._kept = self._kept, {}
        if len(taken) != count or not (self._asked or any(_differs(*one) for one in taken.values())):
            return {}
        return {number: given for number, (_, given) in taken.items()}

    def _after(self, _: torch.nn.Module, __: Any, output: Any) -> None:
        fits = self._ids is not None and isinstance(output, Tensor) and output.shape[:-1] == self._ids.shape
        if fits and self._last is None:
            self._last = output


def _differs(ids: Tensor, given: Tensor) -> bool:
    """Whether a token is not given alike wherever it stands, as an embedding alone gives it. ids: [tokens]."""
    order = ids.sort(stable=True).indices
    same = ids[order][1:] == ids[order][:-1]
    return bool((given[order][1:][same] != given[order][:-1][same]).any())
