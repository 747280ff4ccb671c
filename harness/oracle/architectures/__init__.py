"""Forward passes of families of models in plain torch, written for the oracle: one module a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from adapters.contract import Architecture, Model
from harness.oracle.architectures import gemma2, gpt2, llama, mixtral
from harness.oracle.architectures.passed import Parameters, Passed

Forward = Callable[[Parameters, Model, Tensor, Tensor, Tensor], Passed]

FORWARD: Mapping[Architecture, Forward] = {
    "llama": llama.passed,
    "qwen2": llama.passed,
    "qwen3": llama.passed,
    "gpt2": gpt2.passed,
    "gemma2": gemma2.passed,
    "mixtral": mixtral.passed,
}
"""As `harness.oracle.forward.passed`; a family that is not here has no forward pass of the oracle's own."""

EMBEDDING: Mapping[Architecture, str] = {"gpt2": "transformer.wte.weight"}
"""Name of the embedding where it is not `model.embed_tokens.weight`."""
