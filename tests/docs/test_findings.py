"""docs/findings.md: a section for every code, a line for every cause, and examples that planted faults really make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import scenarios
from adapters import faults
from harness.judging.judge import judge
from harness.verdicts.findings import CAUSES, CODES
from tests.faults import simulate
from tests.faults.test_unnamed import UNNAMED

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"
CODE = re.compile(r"^### `([^`]+)`$", re.MULTILINE)
CAUSE = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
PLANTED = re.compile(r"Planted by `([^`]+)`")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


def sections() -> dict[str, str]:
    """The text below each code."""
    _, *parts = CODE.split(PAGE.read_text())
    return dict(zip(parts[::2], parts[1::2], strict=True))


def example(section: str) -> str:
    return next(line.strip() for line in section.splitlines() if line.startswith("    "))


def test_every_code_has_a_section_and_nothing_else_has() -> None:
    assert sorted(sections()) == sorted(CODES)


def test_every_cause_has_a_line_and_nothing_else_has() -> None:
    found = CAUSE.findall(PAGE.read_text())
    assert sorted(found) == sorted(CAUSES)
    rows = [line for line in PAGE.read_text().splitlines() if CAUSE.match(line)]
    named = {code for row in rows for code in re.findall(r"`([a-z-]+\.[a-z-]+)`", row)}
    assert named <= set(CODES)


def test_a_fault_that_makes_a_finding_is_named_where_there_is_one() -> None:
    made = {code for fault in faults.CATALOGUE.values() for code in fault.codes}
    planted = {code for code, text in sections().items() if PLANTED.search(text)}
    assert planted >= made
    assert {PLANTED.findall(text)[0] for text in sections().values() if PLANTED.search(text)} <= set(faults.CATALOGUE)


@pytest.mark.slow
@pytest.mark.parametrize("code", [code for code, text in sections().items() if PLANTED.search(text)])
def test_examples_are_what_planted_faults_say(code: str, tmp_path: Path) -> None:
    """Word for word; numbers are those of another machine."""
    text = sections()[code]
    name = PLANTED.findall(text)[0]
    fault = faults.CATALOGUE[name]
    seen = [*(scenarios.get(s) for s in scenarios.CATALOGUE), *(s for s, _ in UNNAMED.values())]
    scenario = next(s for s in seen if fault.hidden(s) is None and s.sharding.strategy == "none")
    found = judge(simulate.run(scenario, fault.plan, tmp_path)).findings
    said = {NUMBER.sub("#", finding.message) for finding in found if finding.code == code}
    assert NUMBER.sub("#", example(text)) in said
