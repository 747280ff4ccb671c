"""Rows as pairs of answers, and which scenarios have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import scenarios
from adapters.contract import Job, Message, Scenario, vary
from adapters.families import preferences
from scenarios import checkpoint

PAIRS = scenarios.get("dpo-ragged")


def test_rows_are_pairs(tmp_path: Path) -> None:
    checkpoint.write(PAIRS, tmp_path)
    found = preferences.pairs(cast("Job", SimpleNamespace(checkpoint=str(tmp_path))))
    rows = PAIRS.data.rows
    assert [pair.chosen for pair in found] == [row[-1].content for row in rows[::2]]
    assert [pair.rejected for pair in found] == [row[-1].content for row in rows[1::2]]
    assert found[0].prompt == [{"role": "user", "content": rows[0][0].content}]
    assert preferences.per_device(PAIRS) == 1


def test_the_catalogue_has_pairs() -> None:
    for name in ("dpo-ragged", "dpo-smoothed", "dpo-ipo", "dpo-ipo-mean", "dpo-with-sft"):
        assert preferences.unsupported(scenarios.get(name), "it") is None


def prompts_differ(scenario: Scenario) -> Scenario:
    (question, answer), *others = scenario.data.rows
    return vary(scenario, rows=((replace(question, content="another"), answer), *others))


def several_answers(scenario: Scenario) -> Scenario:
    before = (Message("user", "a"), Message("assistant", "b"))
    return vary(scenario, rows=tuple((*before, *row) for row in scenario.data.rows))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (prompts_differ(PAIRS), "prompts differ"),
        (several_answers(PAIRS), "several answers"),
    ],
)
def test_what_none_can_express(changed: Any, why: str) -> None:
    assert why in (preferences.unsupported(changed, "it") or "")
