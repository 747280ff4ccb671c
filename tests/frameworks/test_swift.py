"""What is wrong, and what is right, in ms-swift."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.contract import HEADER, RowFormat, vary
from harness.environments import build
from harness.environments.request import parse
from tests.frameworks import command, uncatalogued
from tests.frameworks.command import Run
from tests.frameworks.conftest import BUILDING, words
from tests.frameworks.reading import causes, details

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

NEWEST = "ms-swift==4.6.0"
WRONG, MENDED = "ms-swift==4.0.1", "ms-swift==4.0.2"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    """A release on each side of where ms-swift sets right what transformers 5.2.0 to 5.5.3 do."""
    chosen = words("--framework", [WRONG, MENDED]) + words("--scenario", ["sft-ragged", "sft-ragged-zero2"])
    return command.run(tmp_path_factory.mktemp("swift"), environments, *chosen, timeout=BUILDING)


@pytest.mark.exhaustive
def test_transformers_divides_once_more(old: Run) -> None:
    found = old.cell(f"{WRONG}/sft-ragged")
    assert [said["equals"] for said in details(found, "weights.scale")] == ["1/gradient_accumulation_steps"] * 3
    assert causes(found) == ["gradient-scale"]
    assert "transformers 5.2.0" in (found.diagnoses[0].upstream or "")


@pytest.mark.exhaustive
def test_with_deepspeed_it_does_not(old: Run) -> None:
    assert old.cell(f"{WRONG}/sft-ragged-zero2").verdict == "pass"


@pytest.mark.exhaustive
def test_the_next_release_sets_it_right_on_a_transformers_that_does_not(old: Run) -> None:
    assert old.cell(f"{MENDED}/sft-ragged").verdict == "pass"
    header = json.loads((old.trace(f"{MENDED}/sft-ragged") / HEADER).read_text())
    assert header["packages"]["transformers"] == "5.3.0"


def test_the_logged_rate_is_that_of_the_next_step(newest: Run) -> None:
    found = newest.cell(f"{NEWEST}/sft-ragged-warmup")
    assert found.verdict == "accepted"  # scenarios/accepted.toml
    assert causes(found) == ["misreported"]
    assert "ms-swift 4.0.0" in (found.diagnoses[0].upstream or "")


def test_smoothed_labels_make_it_a_mean_of_means_and_eight_times_too_long(newest: Run) -> None:
    """Its trainer calls transformers' LabelSmoother without num_items_in_batch."""
    found = newest.cell(f"{NEWEST}/sft-ragged-smoothed")
    assert found.verdict == "accepted"  # scenarios/accepted.toml
    assert [d.kind for d in found.diagnoses] == ["mean-of-means: micro-batch", "gradient-scale: GA x world size"]
    assert all("ms-swift 4.6.0" in (d.upstream or "") for d in found.diagnoses)


def test_what_it_has_not_is_refused_by_name(newest: Run) -> None:
    assert "packing" in (newest.cell(f"{NEWEST}/sft-ragged-packed").reason or "")
    for name in ("gpt2", "stablelm"):
        assert f"model_type '{name}'" in (newest.cell(f"{NEWEST}/sft-ragged-{name}").reason or "")


@pytest.mark.parametrize("row_format", ["conversation", "prompt-completion"])
def test_several_turns(row_format: RowFormat, environments: Path, tmp_path: Path, monkeypatch) -> None:
    """Every answer of a conversation is trained, and of queries and responses the last one. Nothing is left for another
    cell to find: ms-swift keeps datasets by their content, at home unless it is told otherwise.
    """
    build.ensure(parse(NEWEST), environments, print)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    scenario = vary(uncatalogued.turns(row_format), ranks=1)
    judged = uncatalogued.run(NEWEST, scenario, environments, tmp_path)
    assert (judged.findings, len(judged.steps)) == ((), 1)
    assert not list(home.rglob("*"))
