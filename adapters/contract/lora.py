"""Low-rank updates of the matrices of a scenario's model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adapters.contract.checking import require

MAX_RANK = 1024

PARTS = ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B")
"""What peft calls A and B, of linear layers and of embeddings. Those of an embedding make W + scale (B A)^T."""


@dataclass(frozen=True)
class Lora:
    """Some matrices are W + scale B A (Hu et al. 2021), of which A and B are trained and W is not. Both begin as the
    seed draws them, so that both have a gradient in the first step; there is no dropout."""

    rank: int = 4
    alpha: float = 8.0
    rslora: bool = False
    """Whether the scale is alpha / sqrt(rank), as in rsLoRA (Kalajdzievski 2023), instead of alpha / rank."""
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Last parts of modules' names: of linear layers, or `embed_tokens`."""
    modules_to_save: tuple[str, ...] = ()
    """Likewise: modules that are trained whole beside them."""

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def trains(self, parts: list[str]) -> bool:
        """Whether the parameter whose name has these parts is trained."""
        return any(part in PARTS or part in self.modules_to_save for part in parts)

    def check(self) -> None:
        """Raises ValueError, in one line."""
        require(0 < self.rank <= MAX_RANK, "model.lora.rank", self.rank, f"1 to {MAX_RANK}")
        require(0 < self.alpha < 2**31, "model.lora.alpha", self.alpha, "above 0")
        require(bool(self.targets), "model.lora.targets", "empty", "the names of some modules")
        both = sorted(set(self.targets) & set(self.modules_to_save))
        require(not both, "model.lora.modules_to_save", both, "others than model.lora.targets")
