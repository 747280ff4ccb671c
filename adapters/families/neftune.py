"""NEFTune (Jain and others 2023) for loops of ours: noise added to the embedding's output, by a seed of its own."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from adapters.contract import Scenario

How = Literal["right", "none", "batch", "undivided", "unasked", "repeated"]
"""`none`: nothing is added; `batch`: all tokens of a micro-batch count as the length; `undivided`: uniform within
alpha; `unasked`: by an alpha of 5 where none is asked for; `repeated`: the same in every micro-batch."""

USUAL = 5.0
"""What people take for alpha."""


def prepare(model: Any, scenario: Scenario, rank: int, first_step: int, how: How = "right") -> None:
    """From now on the embedding of `model`, transformers' own, gives noise as well while it trains.

    first_step: of this part of the run, which has a seed of its own, as has every rank.
    """
    alpha = scenario.model.neftune_alpha
    if how == "unasked" and not alpha:
        alpha = USUAL
    if not alpha or how == "none":
        return
    seed = 1_000_003 * scenario.seed + 1_009 * first_step + rank
    drawn = torch.Generator().manual_seed(seed)

    def add(module: torch.nn.Module, _: Any, output: Tensor) -> Tensor | None:
        if not module.training:
            return None
        if how == "repeated":
            drawn.manual_seed(seed)
        rows, length, width = output.shape
        divisor = {"batch": math.sqrt(rows * length * width), "undivided": 1.0}.get(how, math.sqrt(length * width))
        noise = 2.0 * torch.rand(output.shape, generator=drawn) - 1.0
        return output + (alpha / divisor * noise).to(output)

    model.get_input_embeddings().register_forward_hook(add)
