"""Shuffles of one and of several epochs: what torch does after a seed that was searched for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from adapters.families import shuffles


@pytest.mark.parametrize(("steps", "share"), [(2, 1), (2, 8), (3, 4)])
def test_after_its_seed_a_shuffle_leaves_rows_in_their_steps(steps: int, share: int) -> None:
    torch.manual_seed(shuffles.seed_of_once(steps, share))
    assert (torch.randperm(steps * share) // share).tolist() == [step for step in range(steps) for _ in range(share)]


@pytest.mark.parametrize(("steps", "share", "times"), [(2, 1, 2), (2, 4, 2), (3, 2, 2), (2, 2, 3)])
def test_all_epochs_have_the_same_rows_in_each_step(steps: int, share: int, times: int) -> None:
    rows: Any = range(steps * share)
    torch.manual_seed(shuffles.seed_of_epochs(steps, share, times))
    loader: Any = DataLoader(rows, batch_size=share, shuffle=True, drop_last=True)
    first, *others = [[set(batch.tolist()) for batch in loader] for _ in range(times)]
    assert len(first) == steps
    assert all(other == first for other in others)


@pytest.mark.parametrize("size", [1, 3])
def test_what_a_loader_deals_next_is_known(size: int) -> None:
    torch.manual_seed(7)
    known = shuffles.shuffled(6, 2)
    rows: Any = range(6)
    loader: Any = DataLoader(rows, batch_size=size, shuffle=True)
    assert [[place for batch in loader for place in batch.tolist()] for _ in range(2)] == known


def test_how_many_orders_there_are() -> None:
    assert shuffles.orders(1, 4) == 1
    assert shuffles.orders(2, 2) == 6
    assert shuffles.orders(3, 2) == 90
