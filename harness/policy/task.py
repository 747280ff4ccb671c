"""The task of the policy: say the symbols of a prompt in order, the smallest first. Each place is right or wrong by
itself.

3 1 4 1 5 > 1 1 3 4 5
"""

from __future__ import annotations

import torch
from torch import Tensor

SYMBOLS, LENGTH = 8, 5
"""Of a prompt, and of a response."""
SAY = SYMBOLS
VOCABULARY = SYMBOLS + 1


def prompts(count: int, draw: torch.Generator) -> Tensor:
    """int64 [count, LENGTH + 1], the last of each being SAY."""
    drawn = torch.randint(SYMBOLS, (count, LENGTH), generator=draw)
    return torch.cat([drawn, torch.full((count, 1), SAY)], 1)


def answers(given: Tensor) -> Tensor:
    """The right responses to prompts: int64 [count, LENGTH]."""
    return given[:, :LENGTH].sort(1).values


def rewards(ids: Tensor) -> Tensor:
    """Share of places that are right, of prompts with responses: float64 [count]."""
    return (ids[:, LENGTH + 1 :] == answers(ids)).double().mean(1)
