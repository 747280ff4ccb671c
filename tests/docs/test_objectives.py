"""docs/objectives.md: below its marker it is made of docs/objectives.json, and its shown settings are real."""

from __future__ import annotations

from harness.translating.record import Objectives
from reports import objectives
from tests.docs.commands import ROOT

PAGE = ROOT / "docs" / "objectives.md"
MARKER = "<!-- lockstep objectives: all below is made -->"
FOUND = Objectives.model_validate_json((ROOT / "docs" / "objectives.json").read_text())


def test_the_tables_are_those_of_the_run() -> None:
    """`lockstep objectives DIR --markdown` made them, and `--json` the other."""
    assert PAGE.read_text().partition(MARKER)[2].strip() == objectives.markdown(FOUND).strip()


def test_known_wrong_releases_are_among_them() -> None:
    """One of TRL and one of verl, each beside a newest release that is right."""
    verdicts = {(one.framework, one.version, one.scenario): one.verdict for one in FOUND.releases}
    assert verdicts["verl", "0.7.1", "grpo-token"] == "fail"
    assert verdicts["verl", "0.9.1", "grpo-token"] == "pass"
    assert verdicts["trl", "0.22.0", "grpo-token"] == "fail"
    assert verdicts["trl", "1.16.0", "grpo-token"] == "pass"


def test_the_pairs_that_are_held_against_each_other_are_grouped() -> None:
    names = {"trl", "verl", "openrlhf"}
    (alike,) = [one for one in FOUND.alike if one.scenario == "grpo-token"]
    members = {member.partition("==")[0] for group in alike.groups for member in group.members}
    assert names <= members
