"""What came of a configuration, for a paper's appendix: one page that stands alone."""

from __future__ import annotations

from importlib.resources import files

from harness.validation.record import CauseRecord, Validation
from reports import said
from reports.html.index import MARKS
from reports.html.templates import Templates
from reports.validation import told


def page(found: Validation) -> str:
    """The page, with its own style in it. The verdict comes first."""
    style = files("reports.html").joinpath("static", "lockstep.css").read_text(encoding="utf-8")
    return Templates().render(
        "validation.html",
        root="",
        style=style,
        marks=MARKS,
        found=found,
        plan=found.plan,
        lines=[line for cause in found.causes for line in _lines(cause)],
        told=told,
        ledger=told.by_word(found.plan),
    )


def _lines(cause: CauseRecord) -> list[said.Line]:
    """A cause as the other pages tell one."""
    known = [f"{name}: {text}" for name, text in (("upstream", cause.upstream), ("remedy", cause.remedy)) if text]
    evidence = [said.Line(cause.evidence, 1)] if cause.evidence else []
    return [said.Line(cause.says, strong=True), *evidence, *(said.Line(text, 1, linked=True) for text in known)]
