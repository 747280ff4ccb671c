"""What every face says of a cell."""

from __future__ import annotations

from hypothesis import given

from harness.verdicts.verdict import CellRecord
from reports import said
from reports.said import Line
from tests.reports.made import cells
from tests.reports.test_terminal import DROPPED, SCALE, cell, finding


@given(cells())
def test_every_line_is_one_printable_line(record: CellRecord) -> None:
    assert all(line.text.isprintable() for line in said.lines(record))


def test_sentences_and_what_belongs_to_them() -> None:
    record = cell("torch", "1", "s", "fail", diagnoses=[DROPPED, SCALE], findings=[finding("weights.scale", 0)])
    strong = [line.text for line in said.lines(record) if line.strong]
    assert strong == [DROPPED.summary, SCALE.summary]
    assert Line(f"remedy: {DROPPED.remedy}", 1, linked=True) in said.lines(record)
    assert Line("findings: weights.scale (step 0)", 1) in said.lines(record)
    assert said.text(said.lines(record)).splitlines()[1].startswith("  explains 99.9 %")


def test_what_was_received_stands_over_what_was_expected() -> None:
    fed = finding("inputs.token-ids", 0).model_copy(update={"observed": "1 2", "expected": "1 3"})
    texts = [line.text for line in said.lines(cell("torch", "1", "s", "fail", findings=[fed]))]
    assert texts[:2] == ["received: 1 2", "expected: 1 3"]


def test_a_pass_and_a_reason() -> None:
    assert said.lines(cell("torch", "1", "s")) == [Line("nothing was found that is not as it should be")]
    assert said.lines(cell("torch", "1", "s", "unknown", reason="it died")) == [Line("it died")]
    assert said.lines(cell("torch", "1", "s", "unknown")) == []
