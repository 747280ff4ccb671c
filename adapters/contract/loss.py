"""The objective of a scenario, beside the mean over the trained tokens of a global batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import require
from adapters.contract.model import ROUTED, Model

EngineOutput = Literal["model", "loss"]
Implementation = Literal["own", "linear-cross-entropy", "liger"]
TokenWeight = Literal["one", "probability"]


@dataclass(frozen=True)
class Loss:
    auxiliary: float = 0.0
    """What the load-balancing loss of the router is multiplied by: the mean over all forward passes of a step (rank by
    rank, micro-batch by micro-batch) times this is added to the mean over the tokens."""
    engine_output: EngineOutput = "model"
    """What the model hands to a wrapping engine: its output object (loss and logits), or the bare loss."""
    label_smoothing: float = 0.0
    """Share of the mean of -log p over the whole vocabulary in the loss of a token, in the place of as much of its own:
    (1 - e) nll + e mean. Both parts are averaged over the trained tokens."""
    token_weight: TokenWeight = "one"
    """What the loss of each token is multiplied by: one, or the probability that the model gives it, which counts as a
    constant (`probability`: DFT, Wu and others 2025)."""
    implementation: Implementation = "own"
    """How it is computed: as the framework has it; or from the head's input, without keeping logits, by torch's
    linear_cross_entropy, or by Liger's fused loss, beside which its other kernels are on as they are by default."""

    def check(self, model: Model) -> None:
        """Raises ValueError, in one line."""
        aux, routes = self.auxiliary, model.architecture in ROUTED
        require(aux >= 0, "loss.auxiliary", aux, "at least 0")
        share = self.label_smoothing
        require(0 <= share < 1, "loss.label_smoothing", share, "0 to less than 1")
        require(not share or self.token_weight == "one", "loss.label_smoothing", share, "0 with another token_weight")
        require(routes or not aux, "loss.auxiliary", aux, f"0, as {model.architecture} has no router")
