"""Arithmetic in bfloat16 or float16, simulated in float32, whose roundings can be drawn at random.

Rounding to the nearest number makes the same errors each time. At random, every result goes to one of its two
neighbours in the coarse dtype, the nearer the likelier, so that it is right in the mean; what that dtype can express
stays as it is. Each pass is one draw of what the same sums in another order or in other pieces would be: Monte Carlo
arithmetic (Parker 1997) by stochastic rounding (Croci et al. 2022, https://doi.org/10.1098/rsos.211631).

Of float16 the digits are simulated, not the narrow range: a loss is scaled so that its gradients lie within it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

UNITS = {torch.bfloat16: 1 << 16, torch.float16: 1 << 13}
"""A unit in the last place of a coarse dtype, on the bits of a float32, which has 16 or 13 more of them."""


Draws = torch.Generator | None
"""What draws the roundings; None rounds to the nearest, ties to even, as every device does."""


def rounded(x: Tensor, draws: Draws, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Every element of a float32 tensor at one of its two neighbours in a coarse dtype; still float32.

    So is the gradient that comes back through it.
    """
    result: Tensor = _Rounded.apply(x, draws, dtype)  # type: ignore[no-untyped-call]  # torch gives apply no types
    return result


class Coarse(TorchFunctionMode):
    """Within it, every operation that gives a float32 tensor is `rounded`, and so is its backward pass.

    The tensors that it begins with went through `rounded` before.
    """

    def __init__(self, draws: Draws, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self._draws = draws
        self._dtype = dtype

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        rounds = isinstance(result, Tensor) and result.dtype == torch.float32
        return rounded(result, self._draws, self._dtype) if rounds else result


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, draws: Draws, dtype: torch.dtype) -> Tensor:
        ctx.draws, ctx.dtype = draws, dtype
        return _round(x, draws, dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _round(gradients[0], ctx.draws, ctx.dtype), None, None


def _round(x: Tensor, draws: Draws, dtype: torch.dtype) -> Tensor:
    """At random, less than a unit is added to the bits, evenly drawn, and what is below a unit is cut off.

    That is right for either sign and across powers of two; an infinity stays one.
    """
    unit = UNITS[dtype]
    if draws is None:
        return x.bfloat16().float() if dtype == torch.bfloat16 else _nearest(x, unit)
    bits = x.contiguous().view(torch.int32)
    return (bits + _below_unit(x, draws, unit)).bitwise_and_(-unit).view(torch.float32)


def _nearest(x: Tensor, unit: int) -> Tensor:
    """To the nearest multiple of a unit in the last place, ties to even, whatever the exponent."""
    bits = x.contiguous().view(torch.int32)
    even = (bits & unit) // unit
    return (bits + (unit // 2 - 1) + even).bitwise_and_(-unit).view(torch.float32)


def _below_unit(x: Tensor, generator: torch.Generator, unit: int) -> Tensor:
    """Evenly drawn whole numbers from 0 to unit - 1, int32, in the shape of `x`: four from every number drawn."""
    four = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    drawn = four.view(torch.int16)[: x.numel()].view(x.shape).int() + (1 << 15)
    return drawn >> (16 - unit.bit_length() + 1)
