"""Arithmetic in bfloat16, simulated in float32, whose roundings can be drawn at random.

Rounding to the nearest number makes the same errors each time. At random, every result goes to one of its two
neighbours in bfloat16, the nearer the likelier, so that it is right in the mean; what bfloat16 can express stays as it
is. Each pass is one draw of what the same sums in another order or in other pieces would be: Monte Carlo arithmetic
(Parker 1997) by stochastic rounding (Croci et al. 2022, https://doi.org/10.1098/rsos.211631).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

UNIT = 1 << 16
"""A unit in the last place of bfloat16, on the bits of a float32, which has 16 more of them and is otherwise alike."""


Draws = torch.Generator | None
"""What draws the roundings; None rounds to the nearest, ties to even, as every device does."""


def rounded(x: Tensor, draws: Draws) -> Tensor:
    """Every element of a float32 tensor at one of its two neighbours in bfloat16; still float32.

    So is the gradient that comes back through it.
    """
    result: Tensor = _Rounded.apply(x, draws)  # type: ignore[no-untyped-call]
    return result


class BFloat16(TorchFunctionMode):
    """Within it, every operation that gives a float32 tensor is `rounded`, and so is its backward pass.

    The tensors that it begins with went through `rounded` before.
    """

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self._draws = draws

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        rounds = isinstance(result, Tensor) and result.dtype == torch.float32
        return rounded(result, self._draws) if rounds else result


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, draws: Draws) -> Tensor:
        ctx.draws = draws
        return _round(x, draws)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _round(gradients[0], ctx.draws), None


def _round(x: Tensor, draws: Draws) -> Tensor:
    """At random, less than a unit is added to the bits, evenly drawn, and what is below a unit is cut off.

    That is right for either sign and across powers of two; an infinity stays one.
    """
    if draws is None:
        return x.bfloat16().float()
    bits = x.contiguous().view(torch.int32)
    return (bits + _below_unit(x, draws)).bitwise_and_(-UNIT).view(torch.float32)


def _below_unit(x: Tensor, generator: torch.Generator) -> Tensor:
    """Evenly drawn whole numbers from 0 to UNIT - 1, int32, in the shape of `x`: four from every number drawn."""
    four = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return four.view(torch.int16)[: x.numel()].view(x.shape).int() + UNIT // 2
