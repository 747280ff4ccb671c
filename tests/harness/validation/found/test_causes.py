"""Causes of what small runs show, and what is known of each upstream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from adapters.contract import Optimizer, Schedule
from harness.intent.intent import Intent
from harness.recordings.telling import Told
from harness.validation.found import causes
from harness.validation.found.judging import Judged
from harness.validation.known.options import Options
from harness.validation.read.configuration import Companion, Configuration
from harness.validation.small.runs import Run, runs
from harness.validation.step.effective import Effective
from harness.verdicts.findings import Diagnosis, Finding

STEP = Effective(1, 4, 8, 32, Optimizer(schedule=Schedule(decay="linear")), epochs=2.0, horizon=100)
SHAPES = {"lm_head.weight": (8, 4)}
OFFLOAD = Companion("ds.json", {"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}})
DROPPED = Diagnosis(
    "dropped-micro-batches", "lost", 1.0, ("weights.dropped-micro-batches",), "", measured=("first and last",)
)


@dataclass(frozen=True)
class Seen:
    """What causes are told by, of a run."""

    run: Run
    intent: Intent
    told: Told


def seen(*findings: Finding, diagnoses: tuple[Diagnosis, ...] = (), number: int = 1) -> Judged:
    run = list(runs(STEP, False))[number]
    told = Told((), findings, (), (), diagnoses=diagnoses)
    return cast(Judged, Seen(run, run.intent(SHAPES, False), told))


def where(engine: Companion | None = None, **packages: str) -> causes.Where:
    options = Options(Configuration("trl", (), deepspeed=engine), None, {})
    return causes.where("trl", {"trl": "1.16.0", **packages}, STEP, options, "qwen2")


def test_a_diagnosis_is_told_once_with_its_remedy() -> None:
    both = [seen(diagnoses=(DROPPED,), number=number) for number in (0, 1)]
    (told,) = causes.causes(both, where(OFFLOAD, deepspeed="0.18.9"))
    assert told.cause == "dropped-micro-batches"
    assert "deepspeed>=0.19.8" in (told.remedy or "")


def test_a_release_that_is_right_is_not_said_to_be_known() -> None:
    (told,) = causes.causes([seen(diagnoses=(DROPPED,))], where(OFFLOAD, deepspeed="0.19.8"))
    assert told.upstream is None
    assert causes.causes([seen(diagnoses=(DROPPED,))], where(None, deepspeed="0.18.9"))[0].upstream is None


def test_a_finding_that_nothing_explains_has_a_cause_all_the_same() -> None:
    desync = Finding("state.rank-desync", "ranks differ", 0)
    assert [told.cause for told in causes.causes([seen(desync)], where())] == ["rank-desync"]


def test_a_window_that_goes_on_in_the_next_epoch_is_one_cause() -> None:
    batch = Finding("inputs.batch", "rank 0 had 4 micro-batches at step 3, expected 2", 3, observed=4.0, expected=2.0)
    rate = Finding("update.learning-rate", "ahead", 4)
    late = replace(DROPPED, cause="learning-rate-schedule", codes=("update.learning-rate",))
    (told,) = causes.causes([seen(batch, rate, diagnoses=(late,))], where(OFFLOAD, accelerate="1.7.0"))
    assert told.cause == "epoch-end"
    assert "accelerate>=1.9" in (told.remedy or "")


def test_another_number_of_micro_batches_is_another_matter() -> None:
    batch = Finding("inputs.batch", "rank 0 had 3 micro-batches at step 0, expected 4", 0, observed=3.0, expected=4.0)
    assert [told.cause for told in causes.causes([seen(batch)], where())] == ["batch-composition"]


def test_what_is_known_of_some_architectures_is_known_of_the_one_that_ran() -> None:
    decayed = replace(DROPPED, cause="weight-decay", measured=(), codes=("update.weight-decay",))
    found = [causes.causes([seen(diagnoses=(decayed,))], where(None, transformers=v)) for v in ("4.52.4", "4.53.0")]
    assert [bool(told.upstream) for (told,) in found] == [True, False]
