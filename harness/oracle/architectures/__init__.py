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


def embedding(architecture: Architecture) -> str:
    """The name of the embedding's matrix."""
    return _EMBEDDING.get(architecture, "model.embed_tokens.weight")


_EMBEDDING: Mapping[Architecture, str] = {"gpt2": "transformer.wte.weight"}
