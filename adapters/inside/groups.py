"""A scenario's parameters as the groups of a torch optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from adapters.contract import Optimizer


def parameter_groups(
    rule: Optimizer, named: Mapping[str, Tensor], dimensions: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """One for each rate and decay that any of the parameters has, matrices apart from norms and biases; `rate` is the
    multiple that `lr` holds already. `dimensions`: of what a parameter is a flat shard of, where it is one.

    Those at the schedule's own rate come first: what is logged is the rate of the first group.
    """
    found: dict[tuple[float, float, bool], list[Tensor]] = {}
    for name, p in named.items():
        ndim = p.ndim if dimensions is None else dimensions[name]
        found.setdefault((rule.rate_of(name), rule.decay_of(name, ndim), ndim > 1), []).append(p)
    return [
        {"params": params, "lr": rule.learning_rate * rate, "weight_decay": decay, "rate": rate}
        for (rate, decay, _), params in sorted(found.items(), key=lambda group: group[0][0] != 1.0)
    ]
