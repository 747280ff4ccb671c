"""What several families are made of. All tensors have the parameters' dtype."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from adapters.contract import Model
from harness.oracle.architectures.passed import NOISE, Parameters


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Zhang & Sennrich 2019: x [..., d], weight [d]."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Ba et al. 2016: x [..., d], weight and bias [d]."""
    return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps)


def capped(x: Tensor, cap: float | None) -> Tensor:
    """A soft cap (Bello et al. 2016), c tanh(x / c); without a cap, x."""
    return x if cap is None else cap * torch.tanh(x / cap)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021), the two halves of a head being the pairs: x [heads, T, d], cos, sin [T, d]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def angles(model: Model, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles: [T, head_dim] each."""
    half = model.head_dim // 2
    frequency = model.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = positions.to(torch.float64)[:, None] * frequency
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def looked_up(embedding: Tensor, index: Tensor) -> Tensor:
    """Rows [T, d] of an embedding [n, d].

    A product with one-hot rows rather than a look-up: its backward is a product too, which batches well.
    """
    return torch.nn.functional.one_hot(index, len(embedding)).to(embedding.dtype) @ embedding


def embedded(parameters: Parameters, name: str, ids: Tensor) -> Tensor:
    """The embedding of tokens [T], by the name of its matrix: [T, d], with the noise that is given, if any is."""
    found = looked_up(parameters[name], ids)
    return found + parameters[NOISE].to(found.dtype) if NOISE in parameters else found


class Block(NamedTuple):
    """Tokens from `begin` to before `end`, which attend to nothing else."""

    begin: int
    end: int
    mask: Tensor
    """Which of them each attends to: bool [end - begin, end - begin]."""


LEAST = 128
"""Tokens of a block, where there are as many: attention takes time by their square, and every block some of its own."""


def allowed(first_key: Tensor) -> Sequence[Block]:
    """Which keys each token attends to, those from first_key[s] to s, in blocks of whole conversations."""
    count = len(first_key)
    index = torch.arange(count)
    earliest = first_key.flip(0).cummin(0).values.flip(0) if count else first_key
    ends = [0]
    for cut in (int(place) for place in index[earliest >= index]):
        if cut - ends[-1] >= LEAST:
            ends.append(cut)
    return [_block(first_key, begin, end) for begin, end in pairwise([*ends, count])]


def _block(first_key: Tensor, begin: int, end: int) -> Block:
    index = torch.arange(begin, end)
    return Block(begin, end, (index[None, :] <= index[:, None]) & (index[None, :] >= first_key[begin:end, None]))


def heads(x: Tensor, count: int) -> Tensor:
    """[T, count * d] cut into heads: [count, T, d]."""
    return x.view(len(x), count, -1).transpose(0, 1)


def attend(
    query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], scale: float, softcap: float | None = None
) -> Tensor:
    """Grouped-query attention (Ainslie et al. 2023): [T, heads * d] from [heads or kv_heads, T, d]."""
    shared = len(query) // len(key)
    key, value = key.repeat_interleave(shared, dim=0), value.repeat_interleave(shared, dim=0)
    mixed = []
    for begin, end, mask in blocks:
        score = capped(query[:, begin:end] @ key[:, begin:end].transpose(1, 2) * scale, softcap)
        weight = score.masked_fill(~mask, float("-inf")).softmax(-1)
        mixed.append(weight @ value[:, begin:end])
    return torch.cat(mixed, dim=1).transpose(0, 1).reshape(query.shape[1], -1)


def projected(parameters: Parameters, at: str, x: Tensor) -> Tensor:
    """What the linear layer called `at` makes of x [T, inputs]: [T, outputs]; with its bias, if it has one."""
    product = x @ parameters[f"{at}.weight"].T
    return product + parameters[f"{at}.bias"] if f"{at}.bias" in parameters else product


def swiglu(parameters: Parameters, at: str, x: Tensor) -> Tensor:
    """Shazeer 2020, up to what goes into `down_proj`: [T, intermediate] of the MLP called `at`."""
    gate = torch.nn.functional.silu(x @ parameters[f"{at}.gate_proj.weight"].T)
    return gate * (x @ parameters[f"{at}.up_proj.weight"].T)
