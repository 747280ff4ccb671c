"""Open questions are told by every face, in one line, and by none where there are none."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from harness.verdicts import questions
from harness.verdicts.verdict import CellRecord, Outcome, Verdict
from reports import junit, markdown, said, terminal, words

ASKED = [questions.ELSEWHERE, questions.ATTENTION]
LINE = f"could not be asked of this run: {questions.ELSEWHERE}; {questions.ATTENTION}"


def cell(verdict: Outcome, scenario: str, asked: list[str] | None) -> CellRecord:
    return CellRecord(framework="torch", version="2.13.0", scenario=scenario, verdict=verdict, open=asked)


def faces(verdict: Verdict) -> dict[str, str]:
    drawn = StringIO()
    terminal.show(verdict, "DIR", Console(file=drawn, width=1000))
    return {"terminal": drawn.getvalue(), "markdown": markdown.page(verdict, "DIR"), "junit": junit.xml(verdict)}


@pytest.mark.parametrize("outcome", ["pass", "fail"])
def test_every_face_tells_of_open_questions(outcome: Outcome) -> None:
    cells = [cell(outcome, "a", ASKED), cell(outcome, "b", ASKED), cell(outcome, "c", None)]
    verdict = Verdict(cells=cells, complete=True)
    assert words.open_questions(verdict) == [f"torch==2.13.0 on a, b: {LINE}"]
    for name, told in faces(verdict).items():
        assert LINE in told, name
    assert [line.text for line in said.lines(cells[0])][-1] == LINE


def test_no_face_tells_of_none() -> None:
    for name, told in faces(Verdict(cells=[cell("pass", "a", None)], complete=True)).items():
        assert "could not be asked" not in told, name


def test_each_question_has_words() -> None:
    assert all(sentence and sentence[0].islower() for sentence in questions.OPEN.values())
