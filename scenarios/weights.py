"""The initial weights of a scenario's model: a function of the seed, equal to the bit on every machine."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from adapters.contract import Model
from scenarios import lora
from scenarios.architectures import FAMILIES
from scenarios.architectures.stacked import Stacked
from scenarios.text import uniforms

_WEIGHT_STREAM = 7919  # keeps the weights' draws apart from the data's, which use the bare seed


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, by the names of the family's class in transformers, in its order; then those
    of low-rank updates."""
    base = FAMILIES[model.architecture].shapes(model)
    return {**base, **lora.shapes(model.lora, base)}


def stacked(model: Model) -> dict[str, Stacked]:
    """What some releases of transformers hold instead of several of `shapes`, by the names that it has there."""
    return FAMILIES[model.architecture].stacked(model)


def count(model: Model) -> int:
    """How many numbers the parameters are."""
    return sum(math.prod(shape) for shape in shapes(model).values())


def initial(model: Model, seed: int) -> dict[str, NDArray[np.float32]]:
    """Matrices uniform with standard deviation `init_std`; norms uniform in [0.8, 1.2], so that no two are alike, and
    biases in [-0.2, 0.2].

    A uniform draw needs no logarithm, so no mathematics library can change its last bit.
    """
    sizes = FAMILIES[model.architecture].shapes(model)
    draws = uniforms(_WEIGHT_STREAM + seed, sum(int(np.prod(s)) for s in sizes.values()))
    bound, around = model.init_std * 3.0**0.5, FAMILIES[model.architecture].vectors_around
    result: dict[str, NDArray[np.float32]] = {}
    used = 0
    for name, shape in sizes.items():
        count = int(np.prod(shape))
        centred = 2.0 * draws[used : used + count].reshape(shape) - 1.0
        used += count
        values = around(name) + 0.2 * centred if len(shape) == 1 else bound * centred
        result[name] = values.astype(np.float32)
    return {**result, **lora.initial(model, sizes, seed)}
