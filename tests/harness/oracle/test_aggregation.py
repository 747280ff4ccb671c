"""Laws of the weights that an aggregation gives: their sum, and which two are one."""

from __future__ import annotations

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from harness.intent.intent import Given, Mean, Sum
from harness.intent.objective import Level
from harness.oracle import aggregation
from harness.oracle.aggregation import Places
from harness.oracle.levels import LEVELS


@st.composite
def windows(draw: st.DrawFn) -> tuple[Places, Tensor]:
    """Where the slots of a window are, of which each part has a trained one, and which are trained."""
    ranks, accumulation, rows = (draw(st.integers(1, 3)) for _ in range(3))
    slots = [
        (rank, number, (number * ranks + rank) * rows + row, token == 0 or draw(st.booleans()))
        for number in range(accumulation)
        for rank in range(ranks)
        for row in range(rows)
        for token in range(draw(st.integers(1, 4)))
    ]
    rank, number, conversation, trained = (torch.tensor(column) for column in zip(*slots, strict=True))
    return Places(rank, number, conversation, ranks, accumulation, ranks * accumulation * rows, None), trained


@given(windows(), st.sampled_from(LEVELS))
def test_the_weights_of_a_mean_sum_to_one(window: tuple[Places, Tensor], level: Level) -> None:
    places, trained = window
    weights = aggregation.weights(places, trained, Mean(level))
    assert abs(float(weights.sum()) - 1) < 1e-12
    assert not bool(weights[~trained].any())


@given(windows(), st.floats(1e-3, 1e6))
def test_those_of_a_sum_to_the_tokens_over_the_constant(window: tuple[Places, Tensor], constant: float) -> None:
    places, trained = window
    total = float(aggregation.weights(places, trained, Sum(constant)).sum())
    assert abs(total * constant / int(trained.sum()) - 1) < 1e-12


@given(windows())
def test_a_mean_of_tokens_is_a_sum_over_their_number_and_given_weights_of_one_over_it(
    window: tuple[Places, Tensor],
) -> None:
    places, trained = window
    count = int(trained.sum())
    mean = aggregation.weights(places, trained, Mean("token"))
    each = torch.full((len(trained),), 1.0 / count, dtype=torch.float64)
    given_ = Places(**{**vars(places), "given": each})
    assert torch.allclose(mean, aggregation.weights(places, trained, Sum(float(count))), rtol=1e-14)
    assert torch.allclose(mean, aggregation.weights(given_, trained, Given(())), rtol=1e-14)


@given(windows(), st.sampled_from(LEVELS))
def test_every_part_has_the_same_share(window: tuple[Places, Tensor], level: Level) -> None:
    places, trained = window
    assume(level != "token")
    weights = aggregation.weights(places, trained, Mean(level))
    part = {
        "micro-batch": places.rank * 100 + places.micro_batch,
        "rank": places.rank,
        "micro-step": places.micro_batch,
        "row": places.conversation,
    }[level]
    shares = [float(weights[part == one].sum()) for one in part.unique()]
    assert max(shares) - min(shares) < 1e-12
