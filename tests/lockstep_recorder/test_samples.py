"""Which entries of a parameter are kept, and what follows from them."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lockstep_recorder import samples
from lockstep_recorder.samples import ENTRIES


@given(st.integers(1, 2**40))
def test_places_are_all_over_a_piece_of_any_size(size: int) -> None:
    places = samples._spread(size)
    assert len(places) == min(size, ENTRIES)
    assert int(places[0]) == 0
    assert int(places[-1]) == size - 1
    assert bool((places.diff() > 0).all())


def test_a_parameter_of_more_entries_than_float32_can_count() -> None:
    big = nn.Parameter(torch.zeros(2**24 + 3))
    kept = samples.sample(samples.pieces([("big", big)], torch.optim.SGD([big], lr=0.1)))
    assert kept["count"].tolist() == [ENTRIES]
