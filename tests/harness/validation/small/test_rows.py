"""Made-up conversations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.validation.small import rows


@given(st.integers(1, 200), st.integers(1, 256), st.integers(1, 3))
def test_they_are_as_many_ragged_and_short_where_a_step_has_many(count: int, of_a_step: int, turns: int) -> None:
    made = rows.conversations(count, of_a_step, turns)
    assert len(made) == count
    assert made == rows.conversations(count, of_a_step, turns)
    assert {len(one) for one in made} <= set(range(1, turns + 1))
    answers = [len(answer.split()) for one in made for _, answer in one]
    assert all(rows.SHORTEST <= words <= rows.LONGEST for words in answers)
    assert count < 20 or len(set(answers)) > 1
    assert of_a_step <= rows.FEW or max(map(len, made)) == 1


def test_as_messages() -> None:
    assert rows.messages([("a", "b"), ("c", "d")]) == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]
