"""Parameters as some releases of transformers hold them: several matrices of one shape, one on the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stacked:
    """One parameter that stands for several of a checkpoint, or for one of another name."""

    shape: tuple[int, ...]
    """As it is held."""
    parts: tuple[str, ...]
    """Names of the matrices, in the order in which their numbers lie in memory."""


def held(shapes: Mapping[str, tuple[int, ...]], stacked: Mapping[str, Stacked]) -> dict[str, tuple[int, ...]]:
    """Name and shape of what a model holds that stacks all that can be.

    Raises ValueError where parts have not as many numbers as what they are stacked into.
    """
    result = dict(shapes)
    for name, stack in stacked.items():
        inside = sum(math.prod(result.pop(part)) for part in stack.parts)
        if inside != math.prod(stack.shape):
            raise ValueError(f"{name} of shape {stack.shape} cannot hold {inside} numbers")
        result[name] = stack.shape
    return result
