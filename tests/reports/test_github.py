"""GitHub annotations, read back as the runner reads workflow commands."""

from __future__ import annotations

import re

from hypothesis import given, settings
from syrupy.assertion import SnapshotAssertion

from harness.verdicts.verdict import Verdict
from reports import github, words
from reports.github import Annotation
from tests.reports.made import every_outcome, many, verdicts
from tests.reports.test_terminal import cell

COMMAND = re.compile(r"::(error|warning|notice) title=([^:,]*)::(.*)")


def read(text: str) -> list[Annotation]:
    """What the runner makes of it: one command a line, and nothing else."""
    lines = text.split("\n")
    assert lines.pop() == ""
    matches = [COMMAND.fullmatch(line) for line in lines]
    assert all(matches)
    return [Annotation(m[1], _plain(m[2].replace("%3A", ":").replace("%2C", ",")), _plain(m[3])) for m in matches if m]


def _plain(data: str) -> str:
    assert re.fullmatch(r"(?:[^%\r\n]|%25|%0D|%0A)*", data)
    return data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def test_every_outcome(snapshot: SnapshotAssertion) -> None:
    assert github.commands(every_outcome()) == snapshot


def test_levels() -> None:
    assert [a.level for a in read(github.commands(every_outcome()))] == ["error", "error", "warning", "notice"]


def test_all_right_is_silent_and_nothing_is_not() -> None:
    assert github.commands(Verdict(cells=[cell("torch", "1", "s")], complete=True)) == ""
    for verdict in (Verdict(), Verdict(complete=True), Verdict(cells=[cell("torch", "1", "s")])):
        (told,) = read(github.commands(verdict))
        assert (told.level, told.message) == ("warning", words.missing(verdict))


def test_the_last_of_ten_counts_the_others() -> None:
    assert len(read(github.commands(many(10)))) == 10
    found = read(github.commands(many(25)))
    assert len(found) == 10
    assert found[-1].message.startswith("16 more cells")
    assert found[-1].level == "error"


@settings(max_examples=100, deadline=None)
@given(verdicts())
def test_no_text_makes_a_command_of_its_own(verdict: Verdict) -> None:
    found = read(github.commands(verdict))
    assert len(found) <= github.MOST
    assert any(a.level == "error" for a in found) == any(c.verdict == "fail" for c in verdict.cells)
    assert all(a.title and a.message for a in found)
