"""What no scenario of preferences or rewards can have is refused in a line."""

from __future__ import annotations

from typing import Any

import pytest

import scenarios
from adapters.contract import vary

ROWS = scenarios.get("dpo-ragged").data.rows


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("sft-ragged", {"beta": 0.1}, "objective.beta"),
        ("dpo-ragged", {"group_size": 4}, "objective.group_size"),
        ("dpo-ragged", {"beta": 0.0}, "objective.beta"),
        ("dpo-ragged", {"micro_batch_tokens": 90}, "window.micro_batch_tokens"),
        ("dpo-ragged", {"micro_batch_size": 3}, "window.micro_batch_size"),
        ("dpo-ragged", {"last_window": "carried"}, "window.last_window"),
        ("dpo-ragged", {"resume_after": 1}, "window.resume_after"),
        ("dpo-ragged", {"rows": ROWS[:1] * 48}, "data.rows"),
        ("dpo-ragged", {"rows": (*ROWS[:-1], ROWS[-1][:-1])}, "data.rows"),
        ("dpo-ragged", {"rows": ROWS[:1]}, "data.rows"),
        ("dpo-ragged", {"label_smoothing": 0.1}, "loss"),
        ("dpo-ipo", {"preference_smoothing": 0.1}, "objective.preference_smoothing"),
        ("grpo-token", {"beta": 1e7}, "objective.beta"),
        ("grpo-token", {"beta": 0.1, "reference": "none"}, "objective.beta"),
        ("grpo-token", {"rewards": (float("nan"),) * 32}, "objective.rewards"),
        ("grpo-token", {"rewards": (1e13,) * 32}, "objective.rewards"),
        ("grpo-token", {"rewards": (1.0,) * 31}, "objective.rewards"),
        ("grpo-token", {"group_size": 0}, "objective.group_size"),
        ("grpo-token", {"group_size": 5}, "data.rows"),
        ("grpo-token", {"compute": "bf16"}, "precision.compute"),
        ("grpo-token", {"neftune_alpha": 5.0}, "model.neftune_alpha"),
        ("grpo-token", {"clip_high": float("inf")}, "objective.clip_high"),
        ("grpo-token", {"sft_coefficient": 0.1}, "objective.sft_coefficient"),
        ("grpo-mixed", {"ratio": "sequence"}, "objective.demonstrations"),
        ("grpo-masked", {"max_length": 9}, "data."),
    ],
)
def test_what_cannot_be_is_refused(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^scenario.{said}.* is .*, not ") as error:
        vary(scenarios.get(name), **changes).check()
    assert "\n" not in str(error.value)
