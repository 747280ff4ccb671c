"""Attention in blocks of whole conversations is attention."""

from __future__ import annotations

from itertools import accumulate

import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.oracle.architectures import blocks


@given(st.lists(st.integers(1, 150), min_size=1, max_size=8), st.integers(0, 2**16))
def test_blocks_hold_all_that_a_token_attends_to(lengths: list[int], seed: int) -> None:
    ends = list(accumulate(lengths))
    begins = torch.tensor([end - length for end, length in zip(ends, lengths, strict=True)])
    first_key = begins.repeat_interleave(torch.tensor(lengths))
    found = blocks.allowed(first_key)
    assert [found[0].begin, *(b.end for b in found)] == [*(b.begin for b in found), ends[-1]]
    assert all(b.end - b.begin < blocks.LEAST + max(lengths) for b in found)
    index = torch.arange(ends[-1])
    whole = (index[None, :] <= index[:, None]) & (index[None, :] >= first_key[:, None])
    apart = torch.zeros_like(whole)
    for begin, end, mask in found:
        apart[begin:end, begin:end] = mask
    assert torch.equal(apart, whole)
    drawn = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, 2, ends[-1], 4, dtype=torch.float64, generator=drawn)
    by_blocks = blocks.attend(query, key, value, found, 0.5, softcap=3.0)
    at_once = blocks.attend(query, key, value, [blocks.Block(0, ends[-1], whole)], 0.5, softcap=3.0)
    assert torch.allclose(by_blocks, at_once, rtol=1e-12, atol=1e-12)


def test_a_token_that_attends_far_back_keeps_all_between_together() -> None:
    first_key = torch.arange(400)
    first_key[399] = 5
    assert [(b.begin, b.end) for b in blocks.allowed(first_key)] == [(0, 400)]
