"""The objective of a scenario, beside the mean over the trained tokens of a global batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import require
from adapters.contract.model import ROUTED, Model

EngineOutput = Literal["model", "loss"]


@dataclass(frozen=True)
class Loss:
    auxiliary: float = 0.0
    """What the load-balancing loss of the router is multiplied by: the mean over all forward passes of a step (rank by
    rank, micro-batch by micro-batch) times this is added to the mean over the tokens."""
    engine_output: EngineOutput = "model"
    """What the model hands to a wrapping engine: its output object (loss and logits), or the bare loss."""

    def check(self, model: Model) -> None:
        """Raises ValueError, in one line."""
        aux, routes = self.auxiliary, model.architecture in ROUTED
        require(aux >= 0, "loss.auxiliary", aux, "at least 0")
        require(routes or not aux, "loss.auxiliary", aux, f"0, as {model.architecture} has no router")
