"""A decoder of any size, made from a seed, in the layout of Llama."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Size:
    """Of a decoder."""

    width: int
    layers: int
    vocabulary: int
    head: int = 64
    """Width of an attention head."""

    @property
    def parameters(self) -> int:
        """About, without norms."""
        return self.layers * 12 * self.width**2 + 2 * self.vocabulary * self.width


class Layer(nn.Module):
    """Attention and a gated MLP, each behind a norm and added to what it was given."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width, inner = size.width, 8 * size.width // 3
        self.head = size.head
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate, self.up = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden: [rows, tokens, width]."""
        q, k, v = self.heads(hidden)
        return self.behind(hidden, F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def heads(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [rows, heads, tokens, head]."""
        rows, tokens, width = hidden.shape
        heads = self.qkv(self.attention_norm(hidden)).view(rows, tokens, 3, width // self.head, self.head)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        return q, k, v

    def behind(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """All behind the attention, whose values are mixed: [rows, heads, tokens, head]."""
        hidden = hidden + self.out(mixed.transpose(1, 2).reshape(hidden.shape))
        normed = self.mlp_norm(hidden)
        result: Tensor = hidden + self.down(F.silu(self.gate(normed)) * self.up(normed))
        return result


class Decoder(nn.Module):
    """Token ids to logits. Positions are those of the causal mask alone."""

    def __init__(self, size: Size, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embeddings = nn.Embedding(size.vocabulary, size.width)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm = nn.RMSNorm(size.width)
        self.lm_head = nn.Linear(size.width, size.vocabulary, bias=False)

    def logits(self, input_ids: Tensor) -> Tensor:
        """Logits behind each token: [rows, tokens, vocabulary], of int64 [rows, tokens]."""
        hidden = self.embeddings(input_ids)
        for layer in self.layers:
            hidden = layer(hidden)
        result: Tensor = self.lm_head(self.norm(hidden))
        return result

    def forward(self, input_ids: Tensor, labels: Tensor) -> Tensor:
        """input_ids, labels: int64 [rows, tokens]. The sum of the labelled tokens' losses, in nats."""
        logits = self.logits(input_ids)[:, :-1]
        return F.cross_entropy(logits.flatten(0, 1).float(), labels[:, 1:].flatten(), reduction="sum")


def window(size: Size, accumulation: int, tokens: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """The micro-batches of a step: token ids and labels, int64 [1, tokens]. A fifth of a row is its prompt."""
    draw = torch.Generator().manual_seed(seed)
    ids = [torch.randint(size.vocabulary, (1, tokens), generator=draw) for _ in range(accumulation)]
    return [(one, one.masked_fill(torch.arange(tokens) < tokens // 5, -100)) for one in ids]
