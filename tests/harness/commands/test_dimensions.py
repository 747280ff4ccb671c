"""The list of dimensions says of every field what it is and who honours it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters import expressed
from adapters.expressed import FRAMEWORKS, Expressed
from harness import cli
from harness.commands import dimensions

PAGE = Path(__file__).parents[3] / "docs" / "dimensions.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == dimensions.markdown(), "run: lockstep list dimensions --markdown > docs/dimensions.md"


def test_every_field_that_decides_a_step_has_a_sentence_or_a_plain_name() -> None:
    found = {one.path: one for one in dimensions.told()}
    assert "sharding.strategy" in found
    assert "data.rows" not in found
    assert found["data.row_format"].values == "'conversation' | 'prompt-completion'"
    assert found["data.row_format"].what.startswith("How a framework's dataset is written")
    assert found["optimizer.max_grad_norm"].values == "float | None"


@pytest.mark.parametrize(
    ("says", "state"),
    [
        (Expressed(), "all"),
        (Expressed(("a",)), "some"),
        (expressed.no("why"), "refused"),
        (expressed.no(expressed.NOT_YET), "not yet"),
        (None, "not yet"),
    ],
)
def test_the_states(says: Expressed | None, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimensions, "TABLE", {"one.field": {} if says is None else {"trl": says}})
    assert dimensions.state("one.field", "trl") == state


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["list", "dimensions", "--json"]) == 0
    told = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    strategy = told["sharding.strategy"]
    assert sorted(strategy["frameworks"]) == sorted(FRAMEWORKS)
    assert strategy["frameworks"]["ddp"] == {
        "state": "refused",
        "values": [],
        "because": "it keeps the whole state on every rank",
    }
    assert strategy["frameworks"]["verl"]["values"] == ["'fsdp'", "'fsdp1'"]


def test_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["list", "dimensions"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "sharding.strategy = 'none' 'none' | 'zero1'" in out
    assert "some values by fsdp2, deepspeed" in out
