"""GPT-2: LayerNorm, learned positions, attention and a GELU, all with biases (Radford et al. 2019).

Its matrices are stored transposed, inputs by outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import gelu

from adapters.contract import Model
from harness.oracle.architectures.blocks import Block, allowed, attend, embedded, heads, layer_norm, looked_up
from harness.oracle.architectures.passed import Linear, Parameters, Passed, through_head


def passed(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Passed:
    """As `harness.oracle.forward.passed`."""
    embedding = parameters["transformer.wte.weight"]
    x = embedded(parameters, "transformer.wte.weight", ids) + looked_up(parameters["transformer.wpe.weight"], positions)
    blocks = allowed(first_key)
    for layer in range(model.layers):
        at = f"transformer.h.{layer}"
        x = x + _attention(parameters, model, f"{at}.attn", _norm(parameters, model, f"{at}.ln_1", x), blocks)
        wide = _conv1d(parameters, f"{at}.mlp.c_fc", _norm(parameters, model, f"{at}.ln_2", x))
        inner = gelu(wide, approximate="tanh")
        outer = _conv1d(parameters, f"{at}.mlp.c_proj", inner)
        x = x + outer
    hidden = _norm(parameters, model, "transformer.ln_f", x)
    last = Linear(f"{at}.mlp.c_proj.weight", inner, outer, stored_transposed=True)
    return through_head(parameters, embedding, hidden, (last,))


def _attention(parameters: Parameters, model: Model, at: str, x: Tensor, blocks: Sequence[Block]) -> Tensor:
    query, key, value = _conv1d(parameters, f"{at}.c_attn", x).chunk(3, dim=-1)
    query, key, value = (heads(part, model.heads) for part in (query, key, value))
    return _conv1d(parameters, f"{at}.c_proj", attend(query, key, value, blocks, model.head_dim**-0.5))


def _conv1d(parameters: Parameters, at: str, x: Tensor) -> Tensor:
    result: Tensor = x @ parameters[f"{at}.weight"] + parameters[f"{at}.bias"]
    return result


def _norm(parameters: Parameters, model: Model, at: str, x: Tensor) -> Tensor:
    return layer_norm(x, parameters[f"{at}.weight"], parameters[f"{at}.bias"], model.rms_eps)
