"""Scenarios of older traces, and hashes that stay."""

from __future__ import annotations

from typing import Any

import pytest

import scenarios
from adapters.contract import scenario_from_dict, to_dict, vary
from adapters.contract.scenario import FIRST, FLAT, fields_of

EVERY = [scenarios.get(name) for name in scenarios.CATALOGUE]
SAID = FIRST | set(FLAT.values()) | {"name"}
OLD = [
    s
    for s in EVERY
    if all(path in SAID or path.startswith("model.") for path, value, default in fields_of(s) if value != default)
]
"""Scenarios that schema 1 could say."""


def flat(told: dict[str, Any]) -> dict[str, Any]:
    """As schema 1 had it: the fields of most groups side by side."""
    side = {name: told for name, told in told.items() if name in ("name", "model", "optimizer", "device", "seed")}
    for name, path in FLAT.items():
        value: Any = told
        for part in path.split("."):
            value = value[part]
        side[name] = value
    schedule = side["optimizer"].pop("schedule")
    del side["optimizer"]["max_grad_norm"]
    return {**side, "schedule": "linear-warmup" if schedule["warmup_steps"] else "constant"}


@pytest.mark.parametrize("scenario", OLD, ids=lambda s: s.name)
def test_a_scenario_of_schema_1_is_the_same(scenario: Any) -> None:
    told = flat(to_dict(scenario))
    before = repr(told)
    assert scenario_from_dict(told) == scenario
    assert repr(told) == before


def test_a_schedule_that_schema_1_had_not() -> None:
    with pytest.raises(ValueError, match=r"^scenario.schedule is 'cosine', not constant or linear-warmup$"):
        scenario_from_dict({**flat(to_dict(EVERY[0])), "schedule": "cosine"})


def test_a_later_field_counts_where_it_is_not_at_its_default() -> None:
    one = scenarios.get("sft-ragged")
    assert vary(one, decay="cosine").hash != one.hash
    assert vary(one, decay="cosine").hash != vary(one, decay="linear").hash
    assert vary(one, decay="none").hash == one.hash
