"""What is said of a cell, line by line: the same at a terminal, in Markdown, in JUnit's XML and in annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness import printable
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord
from reports import words


@dataclass(frozen=True)
class Line:
    """One line."""

    text: str
    """Printable, and of bounded length, whatever the verdict holds."""
    depth: int = 0
    """0: a sentence of its own; 1: what belongs to the one above it."""
    strong: bool = False
    linked: bool = False
    """Whether addresses in it may be followed: they are of what is known upstream, and no framework wrote them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable.line(self.text))


def lines(cell: CellRecord) -> list[Line]:
    """Why a cell has its verdict: its reason, its diagnoses, and what no diagnosis explains."""
    reason = [Line(cell.reason, linked=cell.verdict == "accepted")] if cell.reason else []
    if cell.verdict == "pass" and not reason:
        reason = [Line("nothing was found that is not as it should be")]
    told = found(cell) if cell.verdict in ("fail", "accepted") else []
    return [*reason, *told, *([Line(words.not_asked(cell))] if cell.open else [])]


def found(cell: CellRecord) -> list[Line]:
    """Its diagnoses, the strongest sentence of each first, and the findings."""
    explained = {code for d in cell.diagnoses for code in d.codes}
    return [
        *_diagnoses(cell.diagnoses),
        *_inputs([f for f in cell.findings if f.code.startswith("inputs.")]),
        *_findings([f for f in cell.findings if f.code in explained]),
        *_unexplained([f for f in cell.findings if f.code not in explained], bool(explained)),
    ]


def text(told: Sequence[Line]) -> str:
    """Lines as plain text, indented by their depth."""
    return "\n".join("  " * line.depth + line.text for line in told)


def _diagnoses(diagnoses: Sequence[DiagnosisRecord]) -> Iterator[Line]:
    for before, diagnosis in zip([None, *diagnoses], diagnoses, strict=False):
        yield Line(diagnosis.summary, strong=True)
        yield Line(words.explained(diagnosis, before), 1)
        for label, said in (("upstream", diagnosis.upstream), ("remedy", diagnosis.remedy)):
            if said:
                yield Line(f"{label}: {said}", 1, linked=True)


def _inputs(findings: Sequence[FindingRecord]) -> Iterator[Line]:
    """What was received and what should have been, one below the other, for the first finding of each code."""
    for code in dict.fromkeys(f.code for f in findings):
        first = next(f for f in findings if f.code == code)
        for label, said in (("received", first.observed), ("expected", first.expected)):
            if isinstance(said, str):
                yield Line(f"{label}: {said}", 1)


def _findings(findings: Sequence[FindingRecord]) -> Iterator[Line]:
    if findings:
        yield Line("findings: " + ", ".join(words.collapsed(findings)), 1)


def _unexplained(findings: Sequence[FindingRecord], beside: bool) -> Iterator[Line]:
    if findings:
        yield Line("also found, and not explained by that:" if beside else "no known cause explains what was found:")
    for code in dict.fromkeys(f.code for f in findings):
        same = [f for f in findings if f.code == code]
        more = f" (and {len(same) - 1} more of {code})" if len(same) > 1 else ""
        yield Line(f"{code}: {same[0].message}{more}", 1)
