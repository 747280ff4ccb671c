"""A small verdict with every outcome, and text that means harm."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord, Outcome, Verdict, ViewRecord
from tests.harmless import EVIL
from tests.reports.test_across import parted
from tests.reports.test_terminal import DROPPED, cell, finding, mixed


def every_outcome() -> Verdict:
    """Nine cells of a mixed run, one that is known, and a view."""
    known = cell(
        "deepspeed",
        "0.19.8",
        "sft-ragged-bf16",
        "accepted",
        reason="Adam's step count is one ahead (https://github.com/deepspeedai/DeepSpeed/pull/5104)",
        findings=[finding("update.moments", 0)],
        seconds=1.25,
        command="lockstep run --framework deepspeed==0.19.8 --scenario sft-ragged-bf16",
    )
    verdict = mixed()
    return verdict.model_copy(update={"cells": [*verdict.cells, known], "views": [parted("sft-ragged")]})


HOSTILE = st.one_of(
    st.text(),
    st.text(alphabet="`|<>&*_[]()!#\\\n\r\t :,%~$\"'-=+.0x@/\x00\x1b\u202e\u2028\ufffe\ud800"),
    st.sampled_from(
        [
            "</script><script>alert(1)</script>",
            "]]><evil/>",
            "::error title=x::y",
            "x\n::set-output name=a::b",
            "| --- |\n| a |",
            "```\n# heading\n```",
            "[a](javascript:alert(1))",
            "https://example.org/a_b_c?x=1&y=2#L3",
            "1. one",
            "&lt;b&gt;",
            "ask @octocat, fixes #12 and owner/repo#3",
            "/close",
            EVIL,
        ]
    ),
)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """Verdicts of which every text may mean harm."""
    return Verdict(
        cells=draw(st.lists(cells(), max_size=6)),
        views=draw(st.lists(st.builds(ViewRecord, scenario=HOSTILE, reason=HOSTILE), max_size=2)),
        complete=draw(st.booleans()),
    )


def cells() -> st.SearchStrategy[CellRecord]:
    text = HOSTILE
    diagnosis = st.builds(
        DiagnosisRecord,
        cause=text,
        summary=text,
        explains=st.floats(0, 1),
        codes=st.lists(text, max_size=2),
        evidence=text,
        upstream=st.none() | text,
        remedy=st.none() | text,
    )
    found = st.builds(FindingRecord, code=text, message=text, step=st.none() | st.integers(0, 9), observed=text)
    return st.builds(
        CellRecord,
        framework=text,
        version=text,
        scenario=text,
        seed=st.integers(0, 2),
        verdict=st.sampled_from(get_args(Outcome)),
        reason=st.none() | text,
        findings=st.lists(found, max_size=3),
        diagnoses=st.lists(diagnosis, max_size=2),
        trace=st.none(),
        seconds=st.none() | st.floats(),
        command=st.none() | text,
    )


def many(count: int) -> Verdict:
    """A run of that many failing cells, each with a cause of its own and much to say."""
    long = {"upstream": "known " * 500, "remedy": "upgrade " * 500}
    wrong = [
        cell(
            "deepspeed",
            f"0.{i}.0",
            f"sft-{i % 16}",
            "fail",
            diagnoses=[DROPPED.model_copy(update={**long, "summary": f"number {i} is wrong"})],
        )
        for i in range(count)
    ]
    return Verdict(cells=wrong, complete=True)
