"""An inference engine for the policy: one token at a time with a cache, exact but for a mismatch that is put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.trial.model import Decoder, Layer

Changed = Callable[[Tensor, int], Tensor]
"""From exact logits [rows, vocabulary] of a response's token, and its place from 0, to those that are sampled from."""


@dataclass(frozen=True)
class Rollouts:
    """Responses that were sampled."""

    ids: Tensor
    """Prompts and responses, int64 [rows, prompt + response]."""
    logprobs: Tensor
    """Of each token of the responses, by the very distribution that it was drawn from: float64 [rows, response]."""


class Engine:
    """A decoder with a cache of keys and values."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._cache: list[tuple[Tensor, Tensor]] = []

    def behind(self, ids: Tensor) -> Tensor:
        """Take tokens [rows, tokens], of which the first call may have many and others have one; logits behind the
        last one: [rows, vocabulary]."""
        hidden = self._decoder.embeddings(ids)
        before, self._cache = self._cache, []
        for at, layer in enumerate(self._decoder.layers):
            assert isinstance(layer, Layer)
            hidden = self._layer(layer, hidden, before[at] if before else None)
        result: Tensor = self._decoder.lm_head(self._decoder.norm(hidden[:, -1]))
        return result

    def _layer(self, layer: Layer, hidden: Tensor, before: tuple[Tensor, Tensor] | None) -> Tensor:
        q, k, v = layer.heads(hidden)
        if before is not None:
            k, v = torch.cat([before[0], k], 2), torch.cat([before[1], v], 2)
        self._cache.append((k, v))
        return layer.behind(hidden, F.scaled_dot_product_attention(q, k, v, is_causal=before is None))


@torch.no_grad()
def sample(decoder: Decoder, prompts: Tensor, length: int, changed: Changed, draw: torch.Generator) -> Rollouts:
    """Responses of `length` tokens, each drawn from the softmax of the changed logits by its cumulative sum.

    prompts: int64 [rows, tokens], each ending in the same way. The decoder is in float64.
    """
    engine = Engine(decoder)
    logits = engine.behind(prompts)
    ids, logprobs = [prompts], []
    for place in range(length):
        known = changed(logits, place).log_softmax(-1)
        token = _drawn(known, draw)
        ids.append(token)
        logprobs.append(known.gather(1, token))
        if place < length - 1:
            logits = engine.behind(token)
    return Rollouts(torch.cat(ids, 1), torch.cat(logprobs, 1))


def _drawn(logprobs: Tensor, draw: torch.Generator) -> Tensor:
    """A token for each row, int64 [rows, 1]."""
    below = logprobs.exp().cumsum(-1)
    number = torch.rand((len(logprobs), 1), generator=draw, dtype=torch.float64) * below[:, -1:]
    return (below <= number).sum(-1, keepdim=True).clamp(max=logprobs.shape[1] - 1)
