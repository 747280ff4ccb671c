"""The list of canaries, and what becomes of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.nightly.canaries import BadCanaries, Canary, load, looked_after
from harness.verdicts.verdict import CellRecord
from tests.harness.nightly.made import DROPPED, cell

CANARY = Canary(release="deepspeed==0.18.9", scenario="sft-ragged-zero2-offload", cause=DROPPED)
KEY = (CANARY.release, CANARY.scenario)


def test_the_list_that_comes_with_lockstep_has_the_bug_of_the_paper() -> None:
    assert CANARY in load()
    assert len({canary.cause.partition(":")[0] for canary in load()}) >= 3


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (cell(DROPPED, "gradient-scale: 1/GA"), "the harness still finds"),
        (cell("gradient-scale: 1/GA"), "it found gradient-scale: 1/GA"),
        (cell(), "the cell is pass"),
        (cell(verdict="unknown"), "the cell is unknown (it crashed)"),
        (cell(DROPPED, verdict="accepted"), "the cell is accepted"),
        (None, "it was not run"),
    ],
)
def test_only_the_very_cause_counts(found: CellRecord | None, said: str) -> None:
    (record,) = looked_after([CANARY], {} if found is None else {KEY: found})
    assert record.found == (found is not None and found.verdict == "fail" and len(found.diagnoses) == 2)
    assert said in record.said
    assert record.measured == (found is not None and found.verdict != "unknown")
    assert record.said.startswith("the harness no longer finds") == (record.measured and not record.found)
    assert record.said.startswith("whether the harness still finds") == (not record.measured)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "canary: Field required"),
        ("canary = []", "at least 1 item"),
        ("[[canary]]\nrelease = 'deepspeed'\nscenario = 'sft-ragged'\ncause = 'x'", "no single release"),
        ("[[canary]]\nrelease = 'deepsped==1'\nscenario = 'sft-ragged'\ncause = 'x'", "did you mean 'deepspeed'?"),
        ("[[canary]]\nrelease = 'deepspeed==0.18.9'\nscenario = 'sft-*'\ncause = 'x'", "is no scenario"),
        ("[[canary]]\nrelease = 'deepspeed==0.18.9'\nscenario = 'sft-ragged'\ncause = ''", "at least 1 character"),
        ("[[canary]]\nrelease = 'deepspeed==0.18.9'\nscenario = 'sft-ragged'\ncause = 'x'\nbug = 1", "canary.0.bug"),
        ("canary = ", "cannot be read"),
    ],
)
def test_a_bad_list_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "canaries.toml"
    path.write_text(text)
    with pytest.raises(BadCanaries) as caught:
        load(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_list_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadCanaries, match="cannot be read"):
        load(tmp_path / "none.toml")
