"""What a token may attend to, by masks of every kind that a model takes."""

from __future__ import annotations

import pytest
import torch

from adapters.inside.attention import NOT_CAUSAL_RUN, PADDING, attention_start

PAD = 0


def test_padding_on_the_left_moves_the_start() -> None:
    ids = torch.tensor([[PAD, PAD, 5, 6]])
    assert attention_start(ids, torch.tensor([[0, 0, 1, 1]]), PAD).tolist() == [[PADDING, PADDING, 2, 2]]


BLOCKS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)[None, None]


@pytest.mark.parametrize("kind", ["boolean", "additive", "infinite"])
def test_blocks_of_a_4d_mask(kind: str) -> None:
    masks = {
        "boolean": BLOCKS,
        "additive": torch.zeros(BLOCKS.shape).masked_fill(~BLOCKS, torch.finfo(torch.float32).min),
        "infinite": torch.zeros(BLOCKS.shape, dtype=torch.bfloat16).masked_fill(~BLOCKS, float("-inf")),
    }
    ids = torch.tensor([[5, 6, 7, PAD]])
    assert attention_start(ids, masks[kind], PAD).tolist() == [[0, 0, 2, PADDING]]


def test_a_pad_id_inside_a_row_is_a_token() -> None:
    ids = torch.tensor([[5, PAD, 7, PAD]])
    assert attention_start(ids, BLOCKS, PAD).tolist() == [[0, 0, 2, PADDING]]


def test_the_eos_that_ends_a_packed_row_is_none_of_the_padding_by_eos() -> None:
    """Padding attends to itself alone, or to nothing."""
    eos, closed = PAD, BLOCKS.clone()
    closed[0, 0, 1:] = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    ids = torch.tensor([[5, eos, eos, eos]])
    assert attention_start(ids, BLOCKS, PAD).tolist() == [[0, 0, PADDING, PADDING]]
    assert attention_start(ids, closed, PAD).tolist() == [[0, 0, PADDING, PADDING]]


@pytest.mark.parametrize("hole", [(2, 3), (3, 2), (3, 3)], ids=["future", "gap", "not itself"])
def test_a_mask_that_is_not_a_causal_run(hole: tuple[int, int]) -> None:
    mask = torch.ones(4, 4, dtype=torch.bool).tril()[None, None].clone()
    mask[0, 0, hole[0], hole[1]] ^= True
    starts = attention_start(torch.tensor([[5, 6, 7, 8]]), mask, PAD)[0].tolist()
    assert starts == [NOT_CAUSAL_RUN if q == hole[0] else 0 for q in range(4)]
