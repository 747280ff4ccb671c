"""The page of a bisection, and what is pasted into an issue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby

import pytest
from hypothesis import given
from syrupy.assertion import SnapshotAssertion

from harness.bisection.record import Bisection
from reports.bisection import markdown, told
from tests.harness.bisection.made import BOTH, CRASH, DROPPED, RIGHT, SCALED
from tests.reports.bisection import made

FACES = (markdown.page, markdown.issue)


@pytest.mark.parametrize("kind", made.KINDS)
def test_a_page(kind: Callable[[], Bisection], snapshot: SnapshotAssertion) -> None:
    assert markdown.page(kind()) == snapshot


@pytest.mark.parametrize("kind", [made.windows, made.holes, made.underneath, made.guilty, made.nothing])
def test_an_issue(kind: Callable[[], Bisection], snapshot: SnapshotAssertion) -> None:
    assert markdown.issue(kind()) == snapshot


def tables(text: str) -> Iterator[list[list[str]]]:
    """Cells of every table, as a reader of GitHub's Markdown sees them: a backslash takes the next sign's meaning."""
    for is_row, lines in groupby(re.split(r"\r\n|[\n\r]", text), key=lambda line: line.startswith("|")):
        if is_row:
            rows = [re.sub(r"\\(\W)", lambda m: f"\0{ord(m[1])};", line) for line in lines]
            cells = [[cell.strip() for cell in row.removeprefix("|").removesuffix("|").split("|")] for row in rows]
            yield [[re.sub(r"\0(\d+);", lambda m: chr(int(m[1])), cell) for cell in row] for row in cells]


def squeezed(text: str) -> str:
    return " ".join(text.split())


@given(made.hostile())
def test_no_table_is_broken_by_what_stands_in_it(bisection: Bisection) -> None:
    found = [table for face in FACES for table in tables(face(bisection))]
    assert found
    for table in found:
        assert {len(row) for row in table} == {len(table[0])}
        assert set(table[1]) == {"---"}
    points = next(table for table in found if table[0][0] == "point")
    assert [squeezed(row[0]) for row in points[2:]] == [squeezed(p.label) for p in bisection.measured]
    assert [squeezed(row[4]) for row in points[2:]] == [squeezed(p.told or p.reason or "") for p in bisection.measured]


@given(made.hostile())
def test_no_line_of_the_page_is_made_by_what_stands_in_it(bisection: Bisection) -> None:
    """A text from elsewhere begins no heading, list or fence of its own: as many lines as without it."""
    page = markdown.page(bisection)
    lines = page.splitlines()
    assert len([line for line in lines if line.startswith("- **")]) == len(told.letters(bisection))
    assert len([line for line in lines if line.startswith("### ")]) == len(told.wrong(bisection))
    assert len(lines) == page.count("\n")


@given(made.bisections())
def test_every_boundary_is_named(bisection: Bisection) -> None:
    page = markdown.page(bisection)
    changes = [row for table in tables(page) if table[0][0] == "change" for row in table[2:]]
    assert [(row[0].startswith(told.dated(bisection, b.before)), row[1], row[2], row[3]) for row, b in
            zip(changes, bisection.boundaries, strict=True)] == [
        (True, told.words(told.before(b)), told.words(told.after(b)), f"[compare]({b.compare})" if b.compare else "")
        for b in bisection.boundaries
    ]  # fmt: skip
    for row, b in zip(changes, bisection.boundaries, strict=True):
        assert f"→ {told.dated(bisection, b.after)}" in row[0]
    for p in (*bisection.measured, *bisection.uninstallable):
        assert p.label in page


@given(made.bisections())
def test_every_inferred_point_is_in_one_stretch(bisection: Bisection) -> None:
    page = markdown.page(bisection)
    section = page.partition("## What was not\n")[2].partition("\n## ")[0]
    stretches = re.findall(r"^- (\S+?)(?: to (\S+) \((\d+)\))?: inferred", section, re.MULTILINE)
    order = bisection.order.index
    covered = [number for first, last, _ in stretches for number in range(order(first), order(last or first) + 1)]
    assert covered == [order(p.label) for p in bisection.inferred]
    assert [int(count or 1) for _, _, count in stretches] == [
        order(last or first) - order(first) + 1 for first, last, _ in stretches
    ]


def test_neighbours_of_two_outcomes_are_two_stretches() -> None:
    """Nothing lies between two inferred points whose neighbours differ, or one of them would be measured."""
    bisection = made.bisection([RIGHT] * 20 + [DROPPED] * 20)
    text = markdown.page(bisection)
    assert text.count("inferred from both neighbours, right") >= 1
    assert text.count(f"inferred from both neighbours, {DROPPED.causes[0]}") >= 1


@given(made.bisections())
def test_an_issue_has_a_block_for_each_cause(bisection: Bisection) -> None:
    issue = markdown.issue(bisection)
    causes = told.wrong(bisection)
    if not causes:
        assert issue == "Nothing was found to be wrong.\n"
        return
    blocks = issue.split("\n\n---\n\n")
    assert len(blocks) == len(causes)
    for block, cause in zip(blocks, causes, strict=True):
        found = told.windows(bisection, cause)
        heading = block.partition("\n")[0]
        assert heading.startswith("## deepspeed ")
        assert heading.endswith(f": {cause}")
        ((_, _, *rows),) = tables(block)
        wanted = {
            "first with": [w.first for w in found],
            "last with": [w.last for w in found],
            "last without": [w.before.before for w in found if w.before],
            "first without": [w.after.after for w in found if w.after],
        }
        for what, labels in wanted.items():
            links = [f"[{label}]({bisection.source}/releases/tag/v{label})" for label in labels]
            assert [row[1] for row in rows if row[0] == what] == (links if bisection.source else labels)
        assert f"\n{told.example(bisection, cause).command}\n{bisection.command}\n" in block
        assert f"Upstream: <https://example.org/{cause.partition(':')[0]}>" in block


def test_an_issue_of_a_package_underneath_names_what_it_lies_under() -> None:
    assert markdown.issue(made.underneath()).startswith("## trl==0.12.2 with transformers 0.0.3 to 0.0.6: ")


def test_where_a_window_ends_is_not_where_the_line_ends_unless_it_does() -> None:
    assert "Found in 0.8.9 (2025-03-31), where the line ends." in markdown.page(made.unfinished())
    crashes = made.bisection([CRASH] * 2 + [DROPPED] * 9 + [CRASH] * 2)
    assert "(2025-01-11), before which nothing is known, after which nothing is known.\n" in markdown.page(crashes)
    assert "Found in 0.0.0 (2025-01-01) to 0.0.3 (2025-01-04), where the line begins." in markdown.page(
        made.bisection([DROPPED] * 4 + [RIGHT] * 4)
    )
    assert "Found in 0.1.2 (2025-01-13) to 0.2.8 (2025-01-29).\n" in markdown.page(made.windows())


def test_one_release_is_no_stretch() -> None:
    issue = markdown.issue(made.bisection([RIGHT] * 4 + [DROPPED] + [RIGHT] * 4))
    assert issue.startswith("## deepspeed 0.0.4: dropped")


def test_an_issue_of_two_dates_names_the_guilty() -> None:
    issue = markdown.issue(made.guilty())
    assert issue.startswith("## trl==0.12.2 03 transformers to 2025-06-01: gradient-scale")
    assert "\nwhat brings it: transformers 4.46.3 -> 4.52.4; " in issue


def test_two_causes_at_once_are_two_blocks() -> None:
    issue = markdown.issue(made.bisection([RIGHT] * 4 + [BOTH] * 4))
    assert [line for line in issue.splitlines() if line.startswith("## ")] == [
        f"## deepspeed 0.0.4 to 0.0.7: {cause}" for cause in (*DROPPED.causes, *SCALED.causes)
    ]
