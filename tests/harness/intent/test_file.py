"""An intent as JSON, both ways, and what is refused of one that somebody else wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import scenarios
from harness.intent import file
from harness.intent.file import BadIntent
from harness.intent.intent import Group, Intent, Mean
from harness.intent.of_scenario import of_scenario
from harness.intent.schedule import Schedule
from tests.harness.intent.drawn import intents

INTENT = of_scenario(scenarios.get("sft-ragged"))


@given(intents())
def test_what_is_written_is_read(intent: Intent) -> None:
    assert file.loads(file.dumps(intent).encode()) == intent


@pytest.mark.parametrize("name", scenarios.CATALOGUE)
def test_so_is_every_scenarios(name: str, tmp_path: Path) -> None:
    intent = of_scenario(scenarios.get(name))
    (tmp_path / "wanted.json").write_text(file.dumps(intent))
    assert file.read(tmp_path / "wanted.json") == intent


def test_what_is_left_out_is_as_usual() -> None:
    found = file.loads(
        b'{"schema": 1, "rule": {"groups": [{"tensors": ["*"]}]}, "steps": 1, "ranks": 1, "accumulation": 4}'
    )
    assert (found.aggregation, found.trained, found.max_grad_norm, found.windows) == (Mean(), "responses", None, None)


def put(value: Any, *path: Any) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


REFUSED: dict[str, Callable[[Any], None]] = {
    "schema 99, this release reads 1": put(99, "schema"),
    "schema True, this": put(True, "schema"),
    "steps: Input should be a valid integer": put(True, "steps"),
    "steps: Input should be less than or equal to 1000": put(1001, "steps"),
    "ranks: Input should be greater than or equal to 1": put(0, "ranks"),
    "windows has 3, expected one for each of 4 steps": put(4, "steps"),
    "windows has 4, expected 1 to 3 micro-batches each": put(3, "accumulation"),
    "windows has 2, expected 3 ranks in a micro-batch": put(3, "ranks"),
    "windows.0.0.0.0: Input should be greater": put(-1, "windows", 0, 0, 0, 0),
    "rule.learning_rate: Input should be greater than 0": put(0.0, "rule", "learning_rate"),
    "rule.beta1: Input should be less than 1": put(1.0, "rule", "beta1"),
    "rule.name: Input should be 'adamw', 'sgd', 'adagrad' or 'rmsprop'": put("lion", "rule", "name"),
    "rule: Value error, momentum has 0.9, expected 0 with adamw": put(0.9, "rule", "momentum"),
    "rule: Value error, alpha has 0.9, expected none with adamw": put(0.9, "rule", "alpha"),
    "rule.groups: Tuple should have at least 1 item": put([], "rule", "groups"),
    "rule.groups.0.weight_decay: Input should be": put("0.1", "rule", "groups", 0, "weight_decay"),
    "trained: Input should be": put("the rest", "trained"),
    "aggregation: Input tag 'median'": put({"kind": "median"}, "aggregation"),
    "aggregation.sum.constant: Input should be greater": put({"kind": "sum", "constant": 0}, "aggregation"),
    "aggregation.given.weights: Field required": put({"kind": "given"}, "aggregation"),
    "max_grad_norm: Input should be": put(-1.0, "max_grad_norm"),
    "schedule: Value error, factors has 0": put({"kind": "given"}, "schedule"),
    "schedule.factors.0: Input should be greater than": put({"kind": "given", "factors": [-1]}, "schedule"),
    "schedule leaves every step without a learning rate": put({"kind": "given", "factors": [0, 0]}, "schedule"),
    "schedule: Value error, horizon has 3": put(
        {"kind": "phases", "decay": "cosine", "horizon": 3, "warmup_steps": 3}, "schedule"
    ),
    "more: Unexpected keyword argument": put(1, "more"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_meant_is_refused_in_a_line(said: str, tmp_path: Path) -> None:
    data = json.loads(file.dumps(INTENT))
    REFUSED[said](data)
    path = tmp_path / "wanted.json"
    path.write_text(json.dumps(data))
    with pytest.raises(BadIntent) as error:
        file.read(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("docs/intents.md says what an intent is")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"schema": 1, "schema": 1}', b'{"schema": NaN}', b"[" * 9999]
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        file.loads(content)


def test_a_million_wrong_numbers_make_one_complaint() -> None:
    wrong = json.loads(file.dumps(INTENT)) | {"windows": [[[["x"] * 100_000]]]}
    with pytest.raises(ValueError, match=r"windows\.0\.0\.0\.0: Input should be a valid integer"):
        file.loads(json.dumps(wrong).encode())


def test_a_file_that_is_too_large_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadIntent, match="cannot be read"):
        file.read(tmp_path / "missing.json")
    (tmp_path / "large.json").write_bytes(b" " * (2**21 + 1))
    with pytest.raises(BadIntent, match="more than the 2097152 bytes"):
        file.read(tmp_path / "large.json")


def test_nobody_can_make_one_that_cannot_be_read_again() -> None:
    with pytest.raises(ValueError, match="expected one for each of 9 steps"):
        replace(INTENT, steps=9)
    with pytest.raises(ValueError):
        Group(("*",), weight_decay=float("nan"))
    with pytest.raises(ValueError):
        Schedule("given", factors=(float("inf"),))
