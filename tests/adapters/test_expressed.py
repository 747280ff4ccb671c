"""What the table of honoured fields says, and that it can be trusted."""

from __future__ import annotations

import pytest

import scenarios
from adapters import expressed
from adapters.contract import fields_of, vary
from adapters.expressed import FRAMEWORKS, SAMPLE, TABLE
from harness.environments import recipes

BASE = scenarios.get("sft-ragged")
PATHS = [path for path, _, _ in fields_of(BASE) if path not in SAMPLE]


def test_its_frameworks_are_those_of_the_recipes() -> None:
    assert sorted(FRAMEWORKS) == sorted(recipes.shipped().framework)


def test_its_fields_are_those_of_a_scenario() -> None:
    assert set(TABLE) <= set(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_every_field_has_an_entry_of_frameworks_that_there_are(path: str) -> None:
    assert TABLE[path].keys() <= set(FRAMEWORKS)
    for says in TABLE[path].values():
        assert says.because
        assert not says.because.endswith(".")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_base_is_refused_by_nobody(framework: str) -> None:
    assert expressed.refused(BASE, framework) is None


def test_a_refusal_names_framework_field_value_and_reason() -> None:
    scenario = vary(BASE, strategy="zero1")
    assert expressed.refused(scenario, "deepspeed") is None
    assert expressed.refused(scenario, "ddp") == (
        "ddp has no sharding.strategy='zero1': it keeps the whole state on every rank"
    )


def test_a_field_without_an_entry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TABLE["window.ranks"], "trl")
    assert expressed.refused(vary(BASE, ranks=1), "trl") == f"trl has no window.ranks=1: {expressed.NOT_YET}"
    assert expressed.refused(BASE, "trl") is None


def test_every_refusal_is_told() -> None:
    scenario = vary(BASE, rows_per_sequence=2, engine_output="loss")
    assert [path for path, _, _ in expressed.refusals(scenario, "openrlhf")] == [
        "data.rows_per_sequence",
        "loss.engine_output",
    ]
