"""Arms that train with other hyperparameters than the first are told, by what was recovered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.staircase.effective import Effective, differences

ONE = Effective(16, (300, 280, 310), (0.0, 1e-4, 2e-4), 1e-4)


def test_alike_within_noise() -> None:
    assert differences({"a": ONE, "b": replace(ONE, rates=(0.0, 1.0001e-4, 2e-4))}) == []
    assert "learning rate 0, 0.0001, 0.0002 in the first steps" in ONE.told
    assert ONE.told[-1] == "moments and parameters follow AdamW with beta1 0.9, beta2 0.999, eps 1e-08, decay 0"


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("rows a step", {"rows": 32}),
        ("trained tokens", {"tokens": (300, 280, 311)}),
        ("learning rate", {"rates": (0.0, 1e-5, 2e-5)}),
        ("update rule", {"found": ("beta2 at step 0 is 0.95, expected 0.999",)}),
    ],
)
def test_each_difference_is_told(what: str, changed: dict[str, Any]) -> None:
    (found,) = differences({"a": ONE, "b": replace(ONE, **changed), "c": ONE})
    assert (found.what, found.arm, found.reference) == (what, "b", "a")
