"""Fields that are drawn, and scenarios of them as files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from adapters.contract import fields_of
from harness.fuzzing import axes, corpus, drawing
from scenarios import files


def test_the_plain_scenario_has_the_first_value_of_every_axis() -> None:
    has = {path: value for path, value, _ in fields_of(axes.made({}))}
    for path, values in axes.axes().items():
        if path in has:
            assert has[path] == (None if values[0] == "none" and has[path] is None else values[0]), path
    assert (has["window.ranks"], has["window.accumulation"], has["window.steps"]) == (1, 1, 1)


def test_a_new_field_of_named_values_is_drawn_by_itself() -> None:
    assert axes.axes()["precision.compute"] == ("fp32", "bf16", "fp16")
    assert axes.axes()["model.tied_embeddings"] == (False, True)
    assert "model.compiled" not in axes.axes()  # slow
    assert not [path for path in axes.axes() if path.startswith("optimizer.schedule.")]  # drawn as a whole


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)
@given(drawing.rows(axes.axes()))
def test_a_drawn_scenario_is_the_same_read_from_its_file(row: dict[str, Any]) -> None:
    try:
        scenario = axes.made(row)
    except ValueError:
        return
    content = {"name": axes.name(row)} | axes.content(row)
    read = tomllib.loads(corpus.text(row, axes.name(row), "what it is\nin two lines"))
    assert read == content
    assert axes.row_of(read) == axes.settings(row)
    assert files.made({k: v for k, v in read.items() if k != "name"}, scenario.name) == scenario


def test_what_is_at_its_plain_value_names_nothing() -> None:
    assert axes.name({"window.ranks": 1, "model.tied_embeddings": False}) == axes.name({})
    assert axes.name({"window.ranks": 2}) != axes.name({})


def test_a_file_of_a_corpus_is_loaded_as_any_scenario(tmp_path: Path) -> None:
    row = {
        "window.accumulation": 3,
        "optimizer.schedule": {"decay": "cosine", "warmup_steps": 0},
        "optimizer.eps": 1e-6,
    }
    path = tmp_path / "mine.toml"
    corpus.write(row, path, "about it\n\nin lines")
    assert files.load(path) == axes.made(row, "mine")


@pytest.mark.parametrize("told", [{}, {"responses": [1]}, {"responses": [5, 2, 9, 3, 7, 4], "base": "sft-equal"}])
def test_another_file_is_none_of_a_corpus(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no scenario of a corpus"):
        axes.row_of(told)
