"""The words that all reports share."""

from __future__ import annotations

import pytest

from reports import words


@pytest.mark.parametrize(
    ("numbers", "text"), [([2], "step 2"), ([0, 1, 2], "steps 0-2"), ([5, 0, 1, 5, 2], "steps 0-2, 5")]
)
def test_numbers_are_collapsed(numbers: list[int], text: str) -> None:
    assert words.counted("step", numbers) == text


@pytest.mark.parametrize(("value", "text"), [(1.0, "100 %"), (0.99999, "99.9 %"), (0.5, "50 %"), (0.0, "0 %")])
def test_a_share_is_not_rounded_up(value: float, text: str) -> None:
    assert words.share(value) == text
