"""What the pictures of tensors show, and which numbers they mark."""

from __future__ import annotations

import pytest

from harness.recovered import Compared, StepWeights, TensorStep
from harness.verdict import FindingRecord
from reports.html import tensors
from reports.html.tensors import OUTSIDE, Place

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


def test_a_learning_rate_beyond_its_tolerance_is_marked() -> None:
    for rate, wrong in ((1e-3 * (1 + 0.9e-4), False), (1e-3 * (1 + 1.1e-4), True)):
        figure = tensors.figures([step(rate)])[2]
        assert [p["wrong"] for p in figure.data["found"]] == [wrong, wrong]
        assert ("2 tensors are not within the tolerance" in figure.sentence) == wrong


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
