"""Arithmetic in bfloat16 whose every rounding is drawn at random, so that a computation can be repeated.

Rounding to the nearest number makes the same errors each time. Here every result is computed in float32 and goes to one
of its two neighbours in bfloat16, the nearer the likelier, so that it is right in the mean (Monte Carlo arithmetic,
Parker 1997; stochastic rounding, Croci et al. 2022, https://doi.org/10.1098/rsos.211631). What bfloat16 can express
stays as it is. Each run is then one draw of what another order or another grouping of the same operations would have
rounded otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

UNIT = 1 << 16
"""A unit in the last place of bfloat16, on the bits of a float32, which has 16 more of them and is otherwise alike."""


def drawn(x: Tensor, generator: torch.Generator) -> Tensor:
    """Every element, float32, at one of its two neighbours in bfloat16; still float32.

    Less than a unit is added to the bits, evenly drawn, and what is below a unit is cut off. That is right for either
    sign and across powers of two; an infinity stays one.
    """
    bits = x.contiguous().view(torch.int32)
    return (bits + _below_unit(x, generator)).bitwise_and_(-UNIT).view(torch.float32)


def _below_unit(x: Tensor, generator: torch.Generator) -> Tensor:
    """Evenly drawn whole numbers from 0 to UNIT - 1, int32, in the shape of `x`: four from every number drawn."""
    four = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return four.view(torch.int16)[: x.numel()].view(x.shape).int() + UNIT // 2


class Drawn(torch.autograd.Function):
    """`drawn`, of a result and of the gradient that comes back to it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, generator: torch.Generator) -> Tensor:
        ctx.generator = generator
        return drawn(x, generator)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return drawn(gradients[0], ctx.generator), None


class BFloat16(TorchFunctionMode):
    """Within it, every operation that gives a float32 tensor, and its backward pass, rounds to bfloat16 at random.

    Whoever uses it hands in float32 tensors that went through `Drawn` themselves.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self._generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        rounds = isinstance(result, Tensor) and result.dtype == torch.float32
        return Drawn.apply(result, self._generator) if rounds else result
