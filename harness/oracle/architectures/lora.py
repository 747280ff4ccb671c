"""Low-rank updates (Hu et al. 2021): the matrices W + s B A that a pass computes with, and what their factors get."""

from __future__ import annotations

from torch import Tensor

from adapters.contract import Lora
from harness.oracle.architectures.passed import Linear, Parameters

LINEAR = ("lora_A.weight", "lora_B.weight")
"""A [rank, columns of W] and B [rows of W, rank], by what follows the name of the module."""
EMBEDDED = ("lora_embedding_A", "lora_embedding_B")
"""Of an embedding: A [rank, vocabulary] and B [hidden, rank]; they make W + s (B A)^T."""
WEIGHT = "weight"


def merged(parameters: Parameters, lora: Lora) -> dict[str, Tensor]:
    """Every parameter as the pass computes with it; the factors are left out."""
    result = {name: p for name, p in parameters.items() if not name.endswith((*LINEAR, *EMBEDDED))}
    for name in result:
        at = name.removesuffix(WEIGHT)
        if f"{at}{LINEAR[0]}" in parameters:
            a, b = (parameters[f"{at}{part}"] for part in LINEAR)
            result[name] = parameters[name] + lora.scale * (b @ a)
        if f"{at}{EMBEDDED[0]}" in parameters:
            a, b = (parameters[f"{at}{part}"] for part in EMBEDDED)
            result[name] = parameters[name] + lora.scale * (b @ a).T
    return result


def factors(linear: Linear, parameters: Parameters, lora: Lora) -> tuple[Linear, ...]:
    """The layer itself, and its two factors if it has them: A x, and s B on top of it, beside W x."""
    at = linear.name.removesuffix(WEIGHT)
    if f"{at}{LINEAR[0]}" not in parameters:
        return (linear,)
    a, b = (parameters[f"{at}{part}"] for part in LINEAR)
    first = Linear(f"{at}{LINEAR[0]}", linear.inputs, linear.outputs, back=lora.scale * b)
    second = Linear(f"{at}{LINEAR[1]}", lora.scale * (linear.inputs @ a.T), linear.outputs)
    return linear, first, second
