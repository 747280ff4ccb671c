"""A verdict as JUnit XML, which CI systems read: a test case for each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from harness import printable
from harness.verdicts.verdict import CellRecord, Verdict
from reports import said, words


def xml(verdict: Verdict) -> str:
    """The document: a suite for each release, a case for each cell.

    `fail` is a failure, `unknown` an error, `accepted` and `unsupported` are skipped, each with its reason. A run that
    is not complete, or has measured nothing, holds an error of its own: what was not measured is not shown as right.
    """
    suites = [_suite(cells) for cells in words.alike(verdict.cells, lambda c: (c.framework, c.version))]
    if missing := words.missing(verdict):
        suites.append(_incomplete(missing))
    document = JUnitXml("lockstep")
    for suite in suites:
        document.add_testsuite(suite)
    document.update_statistics()
    written = BytesIO()
    document.write(written)
    return written.getvalue().decode()


def _suite(cells: Sequence[CellRecord]) -> TestSuite:
    suite = TestSuite(_release(cells[0]))
    suite.add_testcases([_case(cell) for cell in cells])
    return suite


def _release(cell: CellRecord) -> str:
    return printable.line(f"{cell.framework}=={cell.version}")


def _case(cell: CellRecord) -> TestCase:
    seconds = cell.seconds if cell.seconds is not None and math.isfinite(cell.seconds) else None
    case = TestCase(printable.line(cell.label), _release(cell), seconds)
    case.result = _results(cell)
    said_beside = [cell.command or "", words.not_asked(cell) if cell.open else ""]
    if any(said_beside):
        case.system_out = "\n".join(map(printable.line, filter(None, said_beside)))
    return case


def _results(cell: CellRecord) -> list[FinalResult]:
    kinds = {"fail": Failure, "unknown": Error, "accepted": Skipped, "unsupported": Skipped}
    if cell.verdict not in kinds:
        return []
    causes = [d.kind for d in cell.diagnoses] or [f.code for f in cell.findings][:1]
    kind = "; ".join(causes) if cell.verdict == "fail" else cell.verdict
    result = kinds[cell.verdict](printable.line(words.in_short(cell) or cell.verdict), printable.line(kind))
    result.text = said.text(said.lines(cell))
    return [result]


def _incomplete(missing: str) -> TestSuite:
    case = TestCase("the run is complete", "lockstep")
    case.result = [Error(missing, "unknown")]
    suite = TestSuite("lockstep")
    suite.add_testcase(case)
    return suite
