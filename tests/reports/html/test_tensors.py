"""What the pictures of tensors show, and which numbers they mark."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE, RIGHT
from harness.commands import evidence
from harness.judging import judge, summary
from harness.traces import recovered_numbers
from harness.traces.recovered_numbers import Compared, StepWeights, TensorStep
from harness.verdicts import verdict
from harness.verdicts.verdict import FindingRecord
from reports.html import tensors
from reports.html.tensors import OUTSIDE, Place
from tests.faults import simulate

UP, NORM = "model.layers.1.mlp.up_proj.weight", "model.norm.weight"


def step(rate: float = 1e-3, decay: float = 0.1) -> StepWeights:
    number = Compared(reported=1.0, recovered=1.0, right=1e-3, tolerance=1e-4)
    fields = {"learning_rate": rate, "weight_decay": decay}
    return StepWeights(
        step=2,
        targets=1,
        right=1.0,
        tolerance=1e-6,
        residual=0.0,
        residual_tolerance=1.0,
        loss=number,
        grad_norm=number,
        learning_rate=number,
        tensors=(
            TensorStep(name=UP, moved=0.5, off=1e-6, right_decay=0.1, **fields),
            TensorStep(name=NORM, moved=0.1, off=0.9, right_decay=0.0, **fields),
        ),
        conversations=(),
    )


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (UP, Place("mlp.up_proj", "1")),
        (NORM, Place("norm", OUTSIDE)),
        ("lm_head.weight", Place("lm_head", OUTSIDE)),
        ("model.layers.x.weight", Place("layers.x", OUTSIDE)),
    ],
)
def test_where_a_tensor_stands(name: str, place: Place) -> None:
    assert tensors.place(name) == place


def test_shades_follow_the_numbers() -> None:
    off, moved, *_ = tensors.figures([step()])
    assert [s["level"] for s in off.data["squares"]] == ["off0", "off5"]
    assert [s["level"] for s in moved.data["squares"]] == ["far5", "far1"]
    assert "0.9" in off.sentence


def finding(code: str, **more: object) -> FindingRecord:
    return FindingRecord.model_validate({"code": code, "message": "as said", "step": 2, "tolerance": 1e-3, **more})


def test_a_learning_rate_is_marked_where_it_was_found_wrong() -> None:
    found = [finding("update.learning-rate", tensors=[UP])]
    for rate, findings, wrong in (
        (1e-3 * (1 + 0.9e-4), found, [False, False]),
        (1e-3 * (1 + 1.1e-4), found, [True, False]),
        (1e-3 * (1 + 1.1e-4), [], [False, False]),
        (1e-3 * (1 + 1.1e-4), [finding("update.learning-rate", tensors=[UP], step=1)], [False, False]),
    ):
        figure = tensors.figures([step(rate)], findings)[2]
        assert [p["wrong"] for p in figure.data["found"]] == wrong
        assert ("1 tensor is not within the tolerance" in figure.sentence) == any(wrong)


@pytest.mark.parametrize("what", ["step count", "eps"])
def test_a_learning_rate_as_if_is_told_by_its_finding(what: str) -> None:
    figure = tensors.figures([step(7e-4)], [finding("update.moments", what=what)])[2]
    assert [p["wrong"] for p in figure.data["found"]] == [True, True]
    assert figure.sentence.endswith("So it is because as said.")
    other = tensors.figures([step(7e-4)], [finding("update.moments", what="beta1")])[2]
    assert not any(p["wrong"] for p in other.data["found"])


ROW = re.compile(r"^ +(\d+)  .*?  +(\S+)  +(\S+)  +(\S+)  +(\S+)(  +<- wrong)? *$", re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [None, "step-count-ahead", "wrong-eps", "learning-rate-late", "decay-on-norms"])
def test_the_page_shows_what_explain_shows(tmp_path: Path, fault: str | None) -> None:
    warming = scenarios.get("sft-ragged-warmup")
    scenario = vary(warming, steps=2, weight_decay=0.1)
    trace = simulate.run(scenario, CATALOGUE[fault].plan if fault else RIGHT, tmp_path)
    judged = judge.judge(trace)
    said = StringIO()
    evidence.show(judged.steps, Console(width=300, file=said))
    explained = said.getvalue().rpartition("The update rule")[2]
    rows = {(step, rate, decay, bool(mark)) for step, rate, _, decay, _, mark in ROW.findall(explained)}

    recovered_numbers.write([summary.summarize(one) for one in judged.steps], trace)
    records = [verdict.record_finding(found) for found in judged.findings]
    rates, decays = tensors.figures(recovered_numbers.read(trace), records)[2:]
    shown = {
        (rate["step"], short(rate["value"], 7), short(decay["value"], 4), rate["wrong"] or decay["wrong"])
        for rate, decay in zip(rates.data["found"], decays.data["found"], strict=True)
    }
    assert shown == rows
    assert any(wrong for *_, wrong in shown) == (fault is not None)


def short(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.4g}"


def test_a_decay_is_marked_by_the_finding_of_its_step() -> None:
    found = FindingRecord(code="update.weight-decay", message="decayed", step=2, tolerance=1e-3)
    figure = tensors.figures([step()], [found])[3]
    assert {p["tensor"]: p["wrong"] for p in figure.data["found"]} == {"layers.1.mlp.up_proj": False, "norm": True}
    assert figure.numbers.wrong == [False, True]
    other = found.model_copy(update={"step": 1})
    assert not any(p["wrong"] for p in tensors.figures([step()], [other])[3].data["found"])


def test_nothing_is_drawn_of_nothing() -> None:
    assert tensors.figures([]) == []
    assert tensors.figures([step().model_copy(update={"tensors": ()})]) == []
