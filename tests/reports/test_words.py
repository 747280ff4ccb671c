"""The words that all reports share."""

from __future__ import annotations

import pytest
from hypothesis import given

from harness.verdicts.verdict import Verdict, exit_status
from reports import words
from tests.reports.made import verdicts


@pytest.mark.parametrize(
    ("numbers", "text"), [([2], "step 2"), ([0, 1, 2], "steps 0-2"), ([5, 0, 1, 5, 2], "steps 0-2, 5")]
)
def test_numbers_are_collapsed(numbers: list[int], text: str) -> None:
    assert words.counted("step", numbers) == text


@pytest.mark.parametrize(("value", "text"), [(1.0, "100 %"), (0.99999, "99.9 %"), (0.5, "50 %"), (0.0, "0 %")])
def test_a_share_is_not_rounded_up(value: float, text: str) -> None:
    assert words.share(value) == text


@given(verdicts())
def test_what_is_missing_is_told_where_the_exit_status_says_that_nothing_is_known(found: Verdict) -> None:
    known = found.model_copy(update={"complete": True, "cells": [c for c in found.cells if c.verdict != "unknown"]})
    assert (words.missing(known) is not None) == (exit_status(known.cells) == 3)
    assert words.missing(found.model_copy(update={"complete": False})) is not None
