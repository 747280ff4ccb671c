"""What is kept of every parameter around a step: a few entries, and two sums.

The update rule of a parameter follows from its entries. The square of its gradient's length follows from the sums of
Adam's second moment, since v' = beta2 v + (1 - beta2) g^2 holds for their sums as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lockstep_recorder.state import GRADIENT, MOMENTS, Piece, inner, local, piece

ENTRIES = 64
"""Of a parameter, at most."""


def trained(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters that can be trained, by name, each once."""
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def pieces(parameters: list[tuple[str, Tensor]], optimizer: Any) -> list[Piece | None]:
    """This rank's of every parameter; None where nobody knows, or another optimizer steps it."""
    return [piece(parameter, optimizer) for _, parameter in parameters]


def sample(found: Iterable[Piece | None]) -> dict[str, Tensor]:
    """Of this rank's piece of each parameter.

    `param`, `exp_avg`, `exp_avg_sq`: float64 [entries of all], 0 where there is no such state (yet). `count`: int64
    [parameters], how many of the entries are whose. `squares`: float64 [parameters], the sum of `exp_avg_sq`.
    """
    pieces = [held or Piece(0, True, {}) for held in found]
    sizes = [len(held.values.get("param", ())) for held in pieces]
    places = [_spread(size) for size in sizes]
    result = {
        kind: _joined([_entries(held, kind, at) for held, at in zip(pieces, places, strict=True)])
        for kind in ("param", *MOMENTS)
    }
    result["count"] = torch.tensor([len(at) for at in places], dtype=torch.int64)
    second = [held.values.get("exp_avg_sq") for held in pieces]
    result["squares"] = _numbers([None if v is None else float(v.sum(dtype=torch.float64)) for v in second])
    return result


def _spread(size: int) -> Tensor:
    """Places all over a piece, int64. In whole numbers, for float32 knows none apart beyond 2**24."""
    number = min(size, ENTRIES)
    return torch.arange(number) * (size - 1) // max(number - 1, 1)


def given_squares(
    parameters: list[tuple[str, Tensor]], found: Iterable[Piece | None], others: Mapping[int, float]
) -> tuple[Tensor, bool]:
    """Of every gradient that no second moment tells, the sum of its squares, float64 [parameters]; and whether that is
    all of them. `others`: of those that other optimizers have stepped already, by the parameter's id.
    """
    each = [
        _given(parameter, held, others.get(id(parameter)))
        for (_, parameter), held in zip(parameters, found, strict=True)
    ]
    return _numbers(each), None not in each


def _given(parameter: Tensor, held: Piece | None, stepped: float | None) -> float | None:
    if held is None:
        return squares(parameter.grad) if stepped is None and parameter.grad is not None else stepped
    return squares(held.values[GRADIENT]) if GRADIENT in held.values else 0.0


def squares(gradient: Tensor) -> float:
    """Their sum over this rank's part."""
    return float(local(gradient.detach()).double().square().sum())


def _numbers(values: Iterable[float | None]) -> Tensor:
    return torch.tensor([value or 0.0 for value in values], dtype=torch.float64)


def _entries(held: Piece, kind: str, at: Tensor) -> Tensor:
    there = held.values.get(kind)
    return torch.zeros(len(at)).double() if there is None else there[at.to(there.device)].double().cpu()


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if parts else torch.zeros(0).double()


def count(optimizer: Any) -> int | None:
    """How many steps Adam has counted so far; None where nothing tells."""
    state = getattr(inner(optimizer), "state", {})
    steps = [held["step"] for held in state.values() if isinstance(held, dict) and "step" in held]
    return int(max(float(step) for step in steps)) if steps else None


def groups(optimizer: Any) -> list[dict[str, Any]]:
    """The numbers of every parameter group, as they are configured now."""
    result = []
    for group in getattr(optimizer, "param_groups", []):
        numbers = {k: _plain(v) for k, v in group.items() if k != "params"}
        result.append({k: v for k, v in numbers.items() if v is not None})
    return result


def _plain(value: Any) -> Any:
    """A number as JSON has it; None for what is none."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value)
    if isinstance(value, (list, tuple)) and all(isinstance(v, (int, float)) for v in value):
        return list(value)
    return value if isinstance(value, (bool, int, float)) else None
