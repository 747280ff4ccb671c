"""docs/intents.md: its file is one that is read, and it has every field and every aggregation."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from harness.intent import file
from harness.intent.intent import Given, Group, Intent, Mean, Rule, Sum
from harness.intent.objective import Policy, Preferences
from harness.intent.schedule import Schedule
from harness.oracle.levels import LEVELS

PAGE = (Path(__file__).parents[2] / "docs" / "intents.md").read_text()
EXAMPLE = re.search(r'^    (\{"schema".*?\}\n(?!     ))', PAGE, re.DOTALL | re.MULTILINE)


def test_the_example_is_read_as_it_says() -> None:
    assert EXAMPLE is not None
    intent = file.loads(EXAMPLE[1].encode())
    assert intent.aggregation == Mean("row")
    assert intent.weight_decay("lm_head.weight") == 0.1
    assert intent.weight_decay("model.layers.0.input_layernorm.weight") == 0.0
    assert intent.weight_decay("model.norm.weight") == 0.0


@pytest.mark.parametrize("kind", [Intent, Rule, Group, Schedule, Mean, Sum, Given, Preferences, Policy])
def test_every_field_has_its_place(kind: type) -> None:
    missing = [f.name for f in dataclasses.fields(kind) if not re.search(rf"[`\"]{f.name}[`\"]", PAGE)]
    assert set(missing) <= {"name"}  # of the rule: there is one alone


def test_every_aggregation_in_the_table_is_read() -> None:
    least = {"schema": 1, "rule": {"groups": [{"tensors": ["*"]}]}, "steps": 1, "ranks": 1, "accumulation": 1}
    shown = re.findall(r'^\| `(\{"kind".*?\})` \|', PAGE, re.MULTILINE)
    assert len(shown) == 7
    for text in shown:
        value = json.loads(text.replace("[[...], ...]", "[[1.0]]").replace(" K}", " 500}"))
        file.loads(json.dumps(least | {"aggregation": value}).encode())
    assert all(re.search(rf'[`"]{level}[`"]', PAGE) for level in LEVELS)
