"""What a forward pass hands to the bases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

Parameters = Mapping[str, Tensor]
"""Tensors by the parameter names of `scenarios.weights.shapes`."""


@dataclass(frozen=True)
class Linear:
    """A linear layer behind the last attention, y = x W^T, whose matrix W is used nowhere else."""

    name: str
    """Of W among the parameters."""
    inputs: Tensor
    """[T, columns of W]: x."""
    outputs: Tensor
    """[T, rows of W]: y, a part of the graph that the logits come from."""
    stored_transposed: bool = False
    """Whether the parameter is W^T."""
    back: Tensor | None = None
    """[rows of W', rows]: what takes the gradient at `outputs` to that at this layer's own, where another linear layer
    W' comes between the two."""


NOISE = "noise"
"""[T, hidden], beside the parameters: what is added to the embedding's output; absent where nothing is."""

HEAD = "lm_head.weight"
"""Of a model whose head is not tied to its embedding."""


@dataclass(frozen=True)
class Fed:
    """What the feed-forward block of one layer made of T tokens."""

    output: Tensor
    """[T, hidden]."""
    linears: tuple[Linear, ...]
    """The linear layers that end in it."""
    router: Tensor | None = None
    """[T, experts]: logits by which each token was routed; None where the block routes nothing."""


@dataclass(frozen=True)
class Passed:
    """What a pass of one sequence of T tokens has made, in the parameters' dtype."""

    hidden: Tensor
    """[T, hidden]: what the final norm hands to the head."""
    logits: Tensor
    """[T, vocabulary]."""
    linears: tuple[Linear, ...]
    """Layers by which the tail basis tells tokens apart: one at least."""
    routers: tuple[Tensor, ...] = ()
    """[T, experts] for each layer that routes: the router's logits."""


def through_head(
    parameters: Parameters,
    embedding: Tensor,
    hidden: Tensor,
    last: tuple[Linear, ...],
    routers: tuple[Tensor, ...] = (),
) -> Passed:
    """What the head makes of `hidden`, `last` being the layers before it: without a head of its own, the embedding."""
    if HEAD not in parameters:  # its gradient is also that of the input
        return Passed(hidden, hidden @ embedding.T, last, routers)
    logits = hidden @ parameters[HEAD].T
    return Passed(hidden, logits, (*last, Linear(HEAD, hidden, logits)), routers)
