"""What training added to the embedding's output of one conversation (NEFTune)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Noise:
    """What was added to the tokens of one conversation."""

    values: Tensor
    """float64 [tokens, hidden size]: what the first layer was given, less the embedding's rows."""
    number: int
    """From 1, another one for every conversation of a step: no two of them are alike, whatever their tokens are."""
    sequences: int
    """In its micro-batch."""
    length: int
    """Of its sequence, padding and all."""
    tokens: int
    """Of its sequence that are no padding."""
    unit: float
    """What rounding may have made of a value."""
    scale: float = 1.0
    """What the embedding itself multiplies its rows by, before anything is added to them."""

    def of(self, count: int) -> Tensor:
        """What adding to the embedding's plain rows comes to the same: float64 [count, hidden size], 0 for a token
        behind the conversation's own, which predicts nothing."""
        result = self.values.new_zeros(count, self.values.shape[1])
        result[: len(self.values)] = self.values / self.scale
        return result
