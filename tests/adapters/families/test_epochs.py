"""Shuffles of several epochs: what a loader of torch does after a seed that was searched for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from adapters.families import epochs


@pytest.mark.parametrize(("steps", "share", "times"), [(2, 1, 2), (2, 4, 2), (3, 2, 2), (2, 2, 3)])
def test_all_epochs_have_the_same_rows_in_each_step(steps: int, share: int, times: int) -> None:
    rows: Any = range(steps * share)
    torch.manual_seed(epochs.seed(steps, share, times))
    loader: Any = DataLoader(rows, batch_size=share, shuffle=True, drop_last=True)
    first, *others = [[set(batch.tolist()) for batch in loader] for _ in range(times)]
    assert len(first) == steps
    assert all(other == first for other in others)


@pytest.mark.parametrize("size", [1, 3])
def test_what_a_loader_deals_next_is_known(size: int) -> None:
    torch.manual_seed(7)
    known = epochs.shuffled(6, 2)
    rows: Any = range(6)
    loader: Any = DataLoader(rows, batch_size=size, shuffle=True)
    assert [[place for batch in loader for place in batch.tolist()] for _ in range(2)] == known


def test_how_many_orders_there_are() -> None:
    assert epochs.orders(2, 2, 1) == 1
    assert epochs.orders(2, 2, 2) == 6
    assert epochs.orders(2, 2, 3) == 36
