"""One cause is known again in another scenario."""

from __future__ import annotations

from harness.fuzzing.symptoms import Symptom, like, symptoms
from harness.verdicts.findings import Diagnosis, Finding
from tests.harness.session.world import Judged


def test_a_right_cell_has_none_and_what_proves_nothing_neither() -> None:
    assert symptoms(Judged()) == ()
    assert symptoms(Judged([Finding("run.incomplete", "")])) == ()


def test_a_diagnosis_has_every_name_that_was_measured() -> None:
    one = Diagnosis("mean-of-means", "", 1.0, (), "", kind="mean-of-means: rank", measured=("rank", "row"))
    (found,) = symptoms(Judged([Finding("weights.mean-of-means", "")], [one]))
    assert found == Symptom("mean-of-means", frozenset({"rank", "row"}), one)
    assert found.kind == "mean-of-means: rank"
    assert like([found], "mean-of-means", ["row"]) is found
    assert like([found], "mean-of-means", ["micro-batch"]) is None
    assert like([found], "clipping", ["row"]) is None


def test_one_that_measured_nothing_is_known_by_its_cause() -> None:
    (found,) = symptoms(Judged([Finding("state.rank-desync", "")], [Diagnosis("rank-desync", "", 1.0, (), "")]))
    assert found.is_like("rank-desync", found.names)


def test_codes_stand_for_a_cause_that_nobody_named() -> None:
    (found,) = symptoms(
        Judged([Finding("weights.uneven", ""), Finding("loss.value", ""), Finding("run.incomplete", "")])
    )
    assert (found.cause, found.kind) == ("loss.value; weights.uneven", "loss.value; weights.uneven")
