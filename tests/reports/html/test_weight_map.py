"""What a map shows of a step: each token's kind, and where its mark lies."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.traces import recovered_numbers
from harness.traces.recovered_numbers import Compared, ConversationWeights, StepWeights
from reports.html import weight_map
from reports.html.weight_map import BY_KEY, Line
from tests.reports.html.conftest import DROPPED, MEANS

RIGHT = 0.5
TOLERANCE = 1e-5


def conversation(micro_batch: int, rank: int, weights: list[float], prompt: int = 1) -> ConversationWeights:
    count = len(weights) + 1
    return ConversationWeights(
        rank=rank,
        micro_batch=micro_batch,
        row=0,
        ids=tuple(range(count)),
        trained=tuple(i >= prompt for i in range(count)),
        weights=tuple(weights),
    )


def step(*conversations: ConversationWeights) -> StepWeights:
    number = Compared(reported=1.0, recovered=1.0, right=1.0, tolerance=1e-6)
    return StepWeights(
        step=0,
        targets=sum(sum(c.trained) for c in conversations),
        right=RIGHT,
        tolerance=TOLERANCE,
        residual=0.0,
        residual_tolerance=1.0,
        loss=number,
        grad_norm=number,
        learning_rate=number,
        tensors=(),
        conversations=conversations,
    )


@st.composite
def steps(draw: st.DrawFn) -> StepWeights:
    numbers = st.integers(0, 4)
    weights = st.lists(st.floats(-1, 5), max_size=6)
    made = st.builds(conversation, numbers, numbers, weights, st.integers(1, 3))
    return step(*draw(st.lists(made, max_size=10)))


@pytest.mark.parametrize(
    ("weight", "right", "key"),
    [
        (0.5, 0.5, "right"),
        (0.5 + 0.9e-5, 0.5, "right"),
        (0.5 + 1.1e-5, 0.5, "more1"),
        (0.5 - 1.1e-5, 0.5, "less1"),
        (1e-6, 0.5, "lost"),
        (0.1, 0.5, "less3"),
        (0.125, 0.5, "less3"),
        (0.24, 0.5, "less2"),
        (0.31, 0.5, "less1"),
        (1.0, 0.5, "more2"),
        (1.7, 0.5, "more2"),
        (2.0, 0.5, "more3"),
        (-0.1, 0.5, "against"),
        (1e-6, 0.0, "idle"),
        (0.1, 0.0, "stray"),
        (-0.1, 0.0, "stray"),
        (math.nan, 0.5, "unseen"),
        (math.inf, 0.0, "unseen"),
    ],
)
def test_kinds(weight: float, right: float, key: str) -> None:
    assert weight_map.kind(weight, right, TOLERANCE) == key


@given(st.floats(), st.floats(0, 10), st.floats(0, 1))
def test_a_token_is_right_or_idle_within_the_tolerance_alone(weight: float, right: float, tolerance: float) -> None:
    key = weight_map.kind(weight, right, tolerance)
    assert key in BY_KEY
    within = abs(weight - right) <= tolerance
    assert (key in ("right", "idle")) == within
    assert key not in ("right", "lost") or right > 0


@given(st.floats(0.01, 10), st.floats(0.01, 10))
def test_more_weight_is_never_a_lesser_kind(one: float, other: float) -> None:
    order = list(BY_KEY)
    low, high = sorted((one, other))
    assert order.index(weight_map.kind(low, RIGHT, 1e-9)) <= order.index(weight_map.kind(high, RIGHT, 1e-9))


@given(
    st.sampled_from([1 / 8, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 2.0, 3.0, 4.0, 8.0]),
    # Not up to the bound itself: there the rounding of one subtraction decides.
    st.lists(st.floats(-0.99 * TOLERANCE, 0.99 * TOLERANCE), min_size=1, max_size=9),
)
def test_tokens_that_weigh_the_same_share_but_for_rounding_are_of_one_kind(factor: float, off: list[float]) -> None:
    drawn = weight_map.draw(step(conversation(0, 0, [RIGHT * factor + one for one in off])))
    (counted,) = drawn.counts
    assert counted.tokens == len(off)
    assert counted.kind.meaning not in weight_map.sentence(drawn)
    assert counted.meaning in weight_map.sentence(drawn)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1 / 4, "1/4 of the right weight"),
        (1 / 3, "1/3 of the right weight"),
        (0.71, "0.71 of the right weight"),
        (4.0, "4 times the right weight"),
        (1.25, "1.25 times the right weight"),
    ],
)
def test_one_share_for_all_is_told_as_it_is(factor: float, said: str) -> None:
    drawn = weight_map.draw(step(conversation(0, 0, [RIGHT * factor, RIGHT * factor + TOLERANCE])))
    assert weight_map.sentence(drawn).endswith(f"Micro-batch 0: {said} (2 tokens).")
    uneven = weight_map.draw(step(conversation(0, 0, [RIGHT * factor, RIGHT * factor + 3 * TOLERANCE])))
    assert uneven.counts[0].meaning == uneven.counts[0].kind.meaning


@given(steps())
def test_every_token_has_a_mark_and_no_two_lines_meet(made: StepWeights) -> None:
    drawn = weight_map.draw(made)
    assert sum(len(line.kinds) for line in drawn.lines) == sum(len(c.weights) for c in made.conversations)
    assert sum(counted.tokens for counted in drawn.counts) == sum(len(line.kinds) for line in drawn.lines)
    tops = [line.top for line in drawn.lines]
    assert all(b - a >= 1 - 1e-9 for a, b in pairwise(tops))
    assert drawn.height == pytest.approx(tops[-1] + 1 if tops else 0)


@given(steps())
def test_brackets_hold_their_lines_and_no_others(made: StepWeights) -> None:
    drawn = weight_map.draw(made)
    for bands, label in (
        (drawn.micro_batches, lambda line: f"micro-batch {line.conversation.micro_batch}"),
        (drawn.ranks, lambda line: f"rank {line.conversation.rank}"),
    ):
        assert all(a.bottom < b.top for a, b in pairwise(bands))
        for line in drawn.lines:
            (own,) = [b for b in bands if b.top - 1e-9 <= line.top and line.top + 1 <= b.bottom + 1e-9]
            assert own.label == label(line)


def test_a_step_that_is_right_is_said_to_be() -> None:
    drawn = weight_map.draw(step(conversation(0, 0, [0.0, 0.5, 0.5], prompt=2)))
    assert not drawn.wrong
    assert weight_map.sentence(drawn) == "2 tokens should weigh 0.5 each (x N), and no other token anything. So it is."


def test_what_is_wrong_is_said_with_its_micro_batches() -> None:
    lost, right = [0.0, 0.0], [0.5, 0.5]
    drawn = weight_map.draw(step(conversation(0, 0, right), conversation(1, 0, lost), conversation(2, 0, lost)))
    assert weight_map.sentence(drawn).endswith("Micro-batches 1-2: no weight at all, and should have (4 tokens).")


def test_tokens_in_other_micro_batches_are_not_counted_among_theirs() -> None:
    mixed = weight_map.draw(step(conversation(0, 0, [0.0, 0.0]), conversation(1, 0, [0.0, 0.5, 0.5])))
    assert weight_map.sentence(mixed).endswith(
        "Micro-batch 0: no weight at all, and should have (2 tokens); "
        "1 token elsewhere: no weight at all, and should have."
    )


def line_of(made: StepWeights) -> Line:
    return weight_map.draw(made).lines[0]


def test_numbers_beside_a_line_are_of_its_response() -> None:
    line = line_of(step(conversation(0, 0, [9.0, 0.25, 0.75], prompt=2)))
    assert (line.conversation.mean, line.spread) == (0.5, 0.5)
    nothing = line_of(step(conversation(0, 0, [0.0], prompt=2)))
    assert (nothing.conversation.mean, nothing.spread) == (None, None)


def test_a_dropped_micro_batch_is_whole_bands_without_weight(planted: Path) -> None:
    for made in recovered_numbers.read(planted / "cells" / DROPPED):
        kinds: dict[int, set[str]] = {}
        for line in weight_map.draw(made).lines:
            kinds.setdefault(line.conversation.micro_batch, set()).update(set(line.kinds) - {"idle"})
        assert kinds[1] == kinds[2] == {"lost"}
        assert "lost" not in kinds[0] | kinds[3]


def test_in_a_mean_of_means_a_shorter_line_is_never_of_a_lesser_kind(planted: Path) -> None:
    for made in recovered_numbers.read(planted / "cells" / MEANS):
        lines = sorted(weight_map.draw(made).lines, key=lambda line: len(line.conversation.of_response), reverse=True)
        order = list(BY_KEY)
        levels = [order.index(*(set(line.kinds) - {"idle"})) for line in lines]
        assert levels == sorted(levels)
        assert levels[0] < order.index("right") < levels[-1]


def test_words_that_mean_harm_are_one_line_of_bounded_length() -> None:
    drawn = weight_map.draw(step(conversation(0, 0, [0.5, 0.5])))
    words = weight_map.data(drawn, ("first", "\u202e\n" + "x" * 100))["words"]
    assert list(words) == [1]  # the first token has no weight, and the last is beyond the vocabulary
    assert words[1].isprintable()
    assert len(words[1]) <= weight_map.LONGEST_WORD
