"""Public bugs: each is of a release and has a kind, or says why no scenario can show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import tables
from harness.detection import bugs
from harness.detection.record import CauseResult, CellResult
from harness.fuzzing.cells import Planted
from scenarios import get

SCENARIOS = [get(name) for name in ("sft-ragged", "sft-equal", "sft-ragged-decay")]


def test_the_shipped_ones_have_names_of_their_own_and_fields_that_there_are() -> None:
    names = [bug.name for bug in bugs.load()]
    assert len(names) == len(set(names))
    assert all(bug.acts(SCENARIOS[0]) in (True, False) for bug in bugs.load())


@pytest.mark.parametrize(
    "content",
    [
        "",
        '[[bug]]\nname = "a"\nwhat = "b"',
        '[[bug]]\nname = "a"\nwhat = "b"\nrelease = "trl==1.0.0"',
        '[[bug]]\nname = "a"\nwhat = "b"\nrelease = "trl==1.0.0"\nkind = "c"\nwhy = "d"',
        '[[bug]]\nname = "a"\nwhat = "b"\nrelease = "other"\nkind = "c"',
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bugs.toml"
    path.write_text(content)
    with pytest.raises(tables.BadTable) as told:
        bugs.load(path)
    assert str(told.value).startswith(f"{path}:")
    assert "\n" not in str(told.value)


def test_cells_are_run_until_every_bug_of_the_release_is_found() -> None:
    ran: list[str] = []

    def run(wanted: Sequence[Planted]) -> list[CellResult]:
        [(scenario, fault)] = wanted
        ran.append(scenario.name)
        assert fault is None
        kind = {"sft-ragged": "mean-of-means: rank", "sft-equal": "clipping: none"}[scenario.name]
        return [
            CellResult(
                release="trl==1.0.0",
                environment="0",
                scenario=scenario.name,
                scenario_hash=scenario.hash,
                verdict="fail",
                codes=("update.clip",),
                causes=(CauseResult(cause=kind.split(":")[0], kind=kind),),
            )
        ]

    wanted = [
        bugs.Bug(name=name, what="it is wrong", release="trl==1.0.0", kind=kind)
        for name, kind in (("means", "mean-of-means: *"), ("clips", "clipping: *"))
    ]
    found = bugs.detect(SCENARIOS, wanted, run)
    assert ran == ["sft-ragged", "sft-equal"]
    assert {name: (outcome.state, outcome.tried, outcome.cells) for name, outcome in found.items()} == {
        "means": ("found", 1, 3),
        "clips": ("found", 2, 3),
    }
    elsewhere = bugs.Bug(name="a", what="b", release="trl==1.0.0", kind="c", where={"tokenizer.processor": True})
    assert bugs.detect(SCENARIOS, [elsewhere], run)["a"].state == "acts in none"
    lost = bugs.detect(SCENARIOS[:2], [bugs.Bug(name="a", what="b", release="trl==1.0.0", kind="c")], run)["a"]
    assert (lost.state, lost.instead) == ("missed", {"mean-of-means: rank": 1, "clipping: none": 1})
