"""A verdict as GitHub annotations: workflow commands that a job prints (docs.github.com, workflow commands)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness import printable
from harness.verdicts.verdict import CellRecord, Outcome, Verdict
from reports import said, words

MOST = 10
"""Annotations of one kind that GitHub shows of a step."""
MOST_IN_A_TITLE = 200

LEVELS: dict[Outcome, Literal["error", "warning", "notice"]] = {
    "fail": "error",
    "unknown": "warning",
    "accepted": "notice",
}
"""Worst first. Nothing is annotated where all is right, or cannot be expressed."""


@dataclass(frozen=True)
class Annotation:
    """One annotation, and how many cells it tells of."""

    level: str
    title: str
    message: str
    cells: int = 0


def commands(verdict: Verdict) -> str:
    """Workflow commands, one a line: a line for each cause, worst first, at most `MOST`; the last tells how many cells
    are left out."""
    found = [*_annotations(verdict)]
    if len(found) > MOST:
        left = found[MOST - 1 :]
        more = words.more_cells(sum(annotation.cells for annotation in left))
        title = "Lockstep: more than fits here"
        found = [*found[: MOST - 1], Annotation(left[0].level, title, f"{more}: see the report of the run")]
    return "".join(f"{_command(annotation)}\n" for annotation in found)


def _annotations(verdict: Verdict) -> Iterator[Annotation]:
    if missing := words.missing(verdict):
        yield Annotation("warning", "Lockstep", missing)
    for outcome, level in LEVELS.items():
        key = words.fail_key if outcome == "fail" else words.reason_key
        for cells in words.alike(words.of(verdict, outcome), key):
            yield _annotation(level, outcome, cells)


def _annotation(level: str, outcome: Outcome, cells: Sequence[CellRecord]) -> Annotation:
    title = printable.line(f"{words.WORDS[outcome]} {words.where(cells)}", MOST_IN_A_TITLE)
    again = [printable.line(f"reproduce: {cells[0].command}")] if cells[0].command else []
    lines = [*said.text(said.lines(cells[0])).splitlines(), *again]
    return Annotation(level, title, "\n".join(lines) or title, len(cells))


def _command(annotation: Annotation) -> str:
    title = _data(annotation.title).replace(":", "%3A").replace(",", "%2C")
    return f"::{annotation.level} title={title}::{_data(annotation.message)}"


def _data(text: str) -> str:
    """As GitHub's own toolkit escapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
