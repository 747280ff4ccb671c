"""A mismatch at a terminal and in Markdown: numbers, claims, what is unknown; a framework commands nothing."""

from __future__ import annotations

from io import StringIO

import pytest

from harness.commands.output import Console
from harness.mismatch.record import ClaimRecord, Differences, Mismatch, PairRecord, RoundingRecord, RunRecord
from reports.html import mismatch as html
from reports.mismatch import markdown, terminal, told
from tests.harmless import EVIL, hidden

APART = Differences(mean_abs=0.0123, max_abs=0.5, bias=-0.002, kl=1e-4)
FOUND = Mismatch(
    command="lockstep mismatch --out DIR",
    scenario="mismatch",
    seed=0,
    architecture="llama",
    parameters=1000,
    vocabulary=128,
    rows=2,
    length=9,
    entropy=3.5,
    roundings=[RoundingRecord(dtype="bfloat16", from_float32=APART)],
    runs=[
        RunRecord(
            way="verl",
            role="trainer",
            told="its function",
            framework="verl",
            version="0.9.1",
            dtype="bfloat16",
            state="measured",
            arithmetic=APART,
            whole=APART,
            growth=[0.01, 0.03],
        ),
        RunRecord(
            way="vllm-decode",
            role="engine",
            told="decodes",
            framework="vllm",
            dtype="bfloat16",
            state="unknown",
            reason=f"RuntimeError: {EVIL}",
        ),
    ],
    pairs=[
        PairRecord(
            trainer="verl",
            trainer_dtype=trainer_dtype,
            engine="transformers-decode",
            engine_dtype="bfloat16",
            metrics=dict.fromkeys(told.LOGGED, 0.25),
            growth=[0.1, 0.2],
            nearer="engine",
        )
        for trainer_dtype in ("bfloat16", "float32")
    ],
    claims=[ClaimRecord(claim="fp16 is nearer", source="arXiv 1", rule="always", supported=False, measured="2 pairs")],
)


def at_terminal() -> str:
    out = StringIO()
    terminal.show(FOUND, Console(file=out, width=400, highlight=False, markup=False))
    return out.getvalue()


@pytest.mark.parametrize(
    "text",
    ["verl", "0.012", "0.01 to 0.03", "0.25", "NOT SUPPORTED", "fp16 is nearer", "vllm-decode in bfloat16", "KL(p||q)"],
)
def test_every_face_says_it(text: str) -> None:
    assert text in at_terminal()
    assert text in markdown.page(FOUND).replace("\\", "")
    assert text in html.page(FOUND)


def test_what_a_framework_wrote_commands_nothing() -> None:
    for page in (at_terminal(), markdown.page(FOUND), html.page(FOUND)):
        assert "RuntimeError" in page
        assert not hidden(page)


def test_the_one_that_is_further_off_is_named() -> None:
    (row,) = told.pairs(FOUND)
    assert row[-1] == "trainer"
    assert next(iter(told.pairs(FOUND, alike=False)))[0] == "float32 / bfloat16"


def test_what_is_not_there_is_a_dash() -> None:
    assert told.number(None) == "-"
    assert told.summary(FOUND) == "1 of 2 runs measured, 2 pairs, 0 of 1 claims supported"
