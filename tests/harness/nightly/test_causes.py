"""What counts as one finding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.accepted import GONE
from harness.nightly.causes import causes, family, fingerprint, is_underneath, own_version, sightings, tells
from harness.verdicts.verdict import CellRecord
from tests.harness.nightly.made import DROPPED, cell


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("dropped-micro-batches: 1, 2 of 4", "dropped-micro-batches: all but the first and the last"),
        ("dropped-micro-batches: 1 of 3", "dropped-micro-batches: all but the first and the last"),
        ("dropped-micro-batches: 0, 1, 2 of 4", "dropped-micro-batches: all but the last"),
        ("dropped-micro-batches: 1, 2, 3 of 4", "dropped-micro-batches: all but the first"),
        ("dropped-micro-batches: 0, 1 of 4", "dropped-micro-batches: 0, 1 of 4"),
        ("dropped-micro-batches: 0, 1, 2, 3 of 4", "dropped-micro-batches: 0, 1, 2, 3 of 4"),
        ("gradient-scale: 1/GA", "gradient-scale: 1/GA"),
        ("", ""),
    ],
)
def test_a_cause_does_not_depend_on_the_number_of_micro_batches(kind: str, said: str) -> None:
    assert family(kind) == said


@given(st.text())
def test_any_text_is_a_cause(kind: str) -> None:
    assert family(family(kind)) == family(kind)


@given(st.text(), st.text(), st.text(), st.text())
def test_a_fingerprint_is_of_framework_and_cause_alone(a: str, b: str, c: str, d: str) -> None:
    one, other = (a.replace("\n", ""), b), (c.replace("\n", ""), d)
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


def test_one_cause_on_one_framework_is_one_finding() -> None:
    found = sightings(
        [
            cell(DROPPED),
            cell("dropped-micro-batches: 1 of 3", scenario="sft-ragged-batch2"),
            cell(DROPPED, version="0.20.0,transformers==5.0"),
            cell(DROPPED, framework="trl"),
            cell(),
            cell("misreported: loss", verdict="accepted"),
            cell(verdict="unknown"),
        ]
    )
    assert [(s.framework, len(s.cells)) for s in found.values()] == [("deepspeed", 3), ("trl", 1)]
    assert all(s.fingerprint == name for name, s in found.items())


def test_a_cell_with_two_causes_is_two_findings() -> None:
    found = sightings([cell(DROPPED, "gradient-scale: 1/GA")])
    assert [s.diagnosis.summary for s in found.values() if s.diagnosis] == [
        f"{DROPPED} is what it is",
        "gradient-scale: 1/GA is what it is",
    ]


def test_a_cell_without_a_diagnosis_is_one_finding() -> None:
    (found,) = sightings([cell(codes=("grad-norm.value", "loss.value", "weights.scale"))]).values()
    assert found.cause == "grad-norm.value; loss.value; weights.scale"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (cell(), True),
        (cell(DROPPED), True),
        (cell(DROPPED, verdict="accepted"), True),
        (cell(codes=(GONE,)), True),
        (cell(codes=("loss.value",)), False),
        (cell(codes=("loss.value", GONE)), False),
        (cell(verdict="fail"), False),
        (cell(verdict="unknown"), False),
        (cell(verdict="unsupported"), False),
    ],
)
def test_what_tells_that_a_cause_is_not_in_it(made: CellRecord, said: bool) -> None:
    assert tells(made) == said


def test_without_a_diagnosis_the_codes_count_together_and_what_is_gone_counts_by_itself() -> None:
    assert causes(cell(codes=("weights.scale", "loss.value", "weights.scale"))) == ("loss.value; weights.scale",)
    assert causes(cell(DROPPED, codes=("weights.scale", GONE))) == (DROPPED, GONE)
    assert causes(cell(codes=(GONE,))) == (GONE,)


def test_a_version_is_read_with_its_marks() -> None:
    assert str(own_version("2.13.0,transformers==5.0")) == "2.13.0"
    assert str(own_version("unknown")) == "0"
    assert own_version("2.13.0+again") >= own_version("2.13.0")
    assert is_underneath("2.13.0,transformers==5.0")
    assert not is_underneath("2.13.0")
