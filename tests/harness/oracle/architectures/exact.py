"""transformers' models in float64 throughout, for the oracle to be held against.

transformers computes the rotary angles and the RMS norms in float32 even in a model that is all float64 (such as
LlamaRMSNorm, LlamaRotaryEmbedding; models/llama/modeling_llama.py, 4.57.1), and its eager attention takes the softmax
in float32 too, which alone would leave 1e-7 between the two. So the same formulas in float64 are put in their place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
import transformers
from torch import Tensor

from adapters.contract import Model
from scenarios import checkpoint, weights


class Rotary(torch.nn.Module):
    """Su et al. 2021, eq. 15."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        steps = torch.arange(0, model.head_dim, 2, dtype=torch.float64)
        self.frequencies = 1.0 / (torch.tensor(model.rope_theta, dtype=torch.float64) ** (steps / model.head_dim))

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        angles = position_ids[..., None].double() * self.frequencies
        both = torch.cat((angles, angles), dim=-1)
        return both.cos(), both.sin()


class AddsOne(torch.nn.RMSNorm):
    """A norm whose weight is what its factor has beyond 1."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.weight is not None
        return torch.nn.functional.rms_norm(x, self.normalized_shape, 1.0 + self.weight, self.eps)


def _exact_norms(module: torch.nn.Module, model: Model) -> None:
    for name, child in module.named_children():
        if type(child).__name__.endswith("RMSNorm"):
            kind = AddsOne if type(child).__name__.startswith("Gemma") else torch.nn.RMSNorm
            setattr(module, name, kind(child.weight.shape, model.rms_eps, dtype=torch.float64))
        else:
            _exact_norms(child, model)


@contextlib.contextmanager
def softmax_in_float64() -> Iterator[None]:
    """Within it, a softmax that is asked to be taken in float32 is taken in the dtype of its input."""
    plain = torch.nn.functional.softmax
    torch.nn.functional.softmax = lambda x, dim, dtype=None: plain(x, dim=dim)  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.nn.functional.softmax = plain


def parameters(model: Model, seed: int = 0) -> dict[str, Tensor]:
    """The scenario's initial weights, in float64."""
    return {n: torch.from_numpy(v).double() for n, v in weights.initial(model, seed).items()}


def causal_lm(model: Model, values: dict[str, Tensor]) -> transformers.PreTrainedModel:
    """The model of these weights, float64."""
    # torch's own attention knows no soft cap
    attention = "sdpa" if model.attention_softcap is None else "eager"
    config = transformers.AutoConfig.for_model(**checkpoint.config(model), attn_implementation=attention)
    result = transformers.AutoModelForCausalLM.from_config(config).double().eval()
    if hasattr(result.base_model, "rotary_emb"):
        result.base_model.rotary_emb = Rotary(model)
    _exact_norms(result, model)
    missing = result.load_state_dict(values, strict=False).missing_keys
    assert missing == (["lm_head.weight"] if model.tied_embeddings else [])
    return result
