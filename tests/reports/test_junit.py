"""JUnit XML, as a reader of it sees it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given, settings
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase
from syrupy.assertion import SnapshotAssertion

from harness import printable
from harness.verdicts.verdict import Verdict
from reports import junit, words
from tests.reports.made import every_outcome, verdicts
from tests.reports.test_terminal import DROPPED, cell

KINDS = {"fail": Failure, "unknown": Error, "accepted": Skipped, "unsupported": Skipped}


def cases(text: str) -> list[TestCase]:
    return [case for suite in JUnitXml.fromstring(text.encode()) for case in suite]


def test_every_outcome(snapshot: SnapshotAssertion) -> None:
    assert junit.xml(every_outcome()).replace("><", ">\n<") == snapshot


def test_a_case_for_each_cell() -> None:
    verdict = every_outcome()
    read = {(case.classname, case.name): case for case in cases(junit.xml(verdict))}
    assert len(read) == len(verdict.cells)
    for told in verdict.cells:
        case = read[f"{told.framework}=={told.version}", told.label]
        assert [type(r) for r in case.result] == ([KINDS[told.verdict]] if told.verdict in KINDS else [])
        assert case.time == told.seconds
    wrong = read["deepspeed==0.18.9", "sft-ragged-zero2-offload"].result[0]
    assert (wrong.message, wrong.type) == (DROPPED.summary, DROPPED.kind)
    assert f"remedy: {DROPPED.remedy}" in wrong.text


def test_totals() -> None:
    document = JUnitXml.fromstring(junit.xml(every_outcome()).encode())
    assert (document.tests, document.failures, document.errors, document.skipped) == (10, 3, 1, 2)


def test_a_run_that_is_not_complete_is_not_right() -> None:
    for verdict in (Verdict(), Verdict(cells=[cell("torch", "1", "s")]), Verdict(complete=True)):
        (result,) = [r for case in cases(junit.xml(verdict)) for r in case.result]
        assert isinstance(result, Error)
        assert result.message == words.missing(verdict)


@settings(max_examples=100, deadline=None)
@given(verdicts())
def test_any_text_makes_a_document_that_can_be_read(verdict: Verdict) -> None:
    text = junit.xml(verdict)
    names = {"testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"}
    assert {element.tag for element in ET.fromstring(text).iter()} <= names
    own = [case for case in cases(text) if case.classname != "lockstep"]
    told = sorted((printable.line(f"{c.framework}=={c.version}"), printable.line(c.label)) for c in verdict.cells)
    assert sorted((case.classname, case.name) for case in own) == told
    wrong = sum(c.verdict == "fail" for c in verdict.cells)
    assert sum(isinstance(r, Failure) for case in own for r in case.result) == wrong
