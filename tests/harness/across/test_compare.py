"""Two runs against each other: distances by hand, and where they part."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from harness.across import compare
from harness.across.compare import Snapshot, Tolerance

BETA1 = 0.9
LIMIT = Tolerance(1e-5, 1e-5, 1e-5, "by hand")


def run(gradients: list[float], rate: float = 0.1) -> list[Snapshot]:
    """One parameter of two equal elements, moved against constant gradients, with Adam's first moment kept."""
    value, moment = torch.ones(2), torch.zeros(2)
    snapshots = [Snapshot({"w": value.clone()}, {})]
    for g in gradients:
        moment = BETA1 * moment + (1 - BETA1) * g
        value = value - rate * g
        snapshots.append(Snapshot({"w": value.clone()}, {"w": moment.clone()}))
    return snapshots


def test_a_run_is_the_same_as_itself() -> None:
    comparison = compare.compare(run([1.0, 2.0]), run([1.0, 2.0]), BETA1, LIMIT)
    assert comparison.same
    assert [(s.drift, s.gradient_distance) for s in comparison.steps] == [(0.0, 0.0), (0.0, 0.0)]


def test_gradient_is_recovered_from_the_first_moment() -> None:
    snapshots = run([1.0, -3.0])
    recovered = compare.gradient(snapshots[2].moments, snapshots[1].moments, BETA1)
    assert recovered["w"].tolist() == pytest.approx([-3.0, -3.0], rel=1e-6)
    assert compare.gradient(snapshots[1].moments, {}, BETA1)["w"].tolist() == pytest.approx([1.0, 1.0], rel=1e-6)


def test_the_step_where_runs_part_and_by_how_much() -> None:
    comparison = compare.compare(run([1.0, 1.0, 1.0]), run([1.0, 0.25, 1.0]), BETA1, LIMIT)
    assert comparison.parted == 1
    step = comparison.steps[1]
    assert step.gradient is not None
    assert step.gradient.ratio == pytest.approx(0.25, rel=1e-5)
    assert step.gradient.cosine == pytest.approx(1.0)
    assert step.gradient.relative == pytest.approx(0.75, rel=1e-5)
    assert step.moved == pytest.approx(0.2 * math.sqrt(2), rel=1e-5)
    assert step.drift == pytest.approx(0.075 / 0.2, rel=1e-5)


def test_opposite_gradients_have_cosine_minus_one() -> None:
    step = compare.compare(run([1.0]), run([-1.0]), BETA1, LIMIT).steps[0]
    assert step.gradient is not None
    assert step.gradient.cosine == pytest.approx(-1.0)


@pytest.mark.parametrize(("change", "same"), [(0.0, True), (1e-6, True), (1e-4, False)])
def test_the_tolerance_decides(change: float, same: bool) -> None:
    assert compare.compare(run([1.0]), run([1.0 + change]), BETA1, LIMIT).same is same


def test_another_start_is_named_as_such() -> None:
    other = run([1.0])
    other[0] = replace(other[0], parameters={"w": torch.tensor([1.0, 1.1])})
    assert compare.compare(run([1.0]), other, BETA1, LIMIT).parted == -1


def test_most_different_tensor_comes_first() -> None:
    a = {"x": torch.tensor([1.0]), "y": torch.tensor([1.0]), "z": torch.tensor([0.0])}
    b = {"x": torch.tensor([1.1]), "y": torch.tensor([2.0]), "z": torch.tensor([0.0])}
    assert [t.name for t in compare.gap(a, b).tensors] == ["y", "x", "z"]


def test_not_a_number_is_never_the_same() -> None:
    comparison = compare.compare(run([1.0]), run([float("nan")]), BETA1, LIMIT)
    assert not comparison.same
    assert comparison.parted == 0


def test_tensors_of_one_run_only_are_named_and_are_a_difference() -> None:
    other = [Snapshot({**s.parameters, "extra": torch.ones(1)}, s.moments) for s in run([1.0])]
    comparison = compare.compare(run([1.0]), other, BETA1, LIMIT)
    assert comparison.lonely == ("extra",)
    assert not comparison.same


def test_other_models_are_not_comparable() -> None:
    other = [Snapshot({"w": torch.ones(3)}, {}), Snapshot({"w": torch.ones(3)}, {})]
    with pytest.raises(compare.NotComparable, match="no tensor is in both runs"):
        compare.compare(run([1.0]), other, BETA1, LIMIT)


def test_runs_without_moments_are_compared_by_their_parameters() -> None:
    bare = [Snapshot(s.parameters, {}) for s in run([1.0, 2.0])]
    comparison = compare.compare(bare, run([1.0, 2.0]), BETA1, LIMIT)
    assert [s.gradient for s in comparison.steps] == [None, None]
    assert comparison.same


def test_a_shorter_way_in_the_same_direction_is_another_update_even_in_bfloat16() -> None:
    comparison = compare.compare(run([1.0, 1.0]), run([1.0, 1.0], rate=0.05), BETA1, compare.TOLERANCES["bf16"])
    assert comparison.steps[0].gradient_distance == 0.0
    assert comparison.parted == 0


def test_a_run_that_stops_short_has_parted() -> None:
    assert compare.compare(run([1.0]), run([1.0, 1.0]), BETA1, LIMIT).parted == 1


def test_behind_a_drift_a_gradient_is_of_other_parameters() -> None:
    allowed = replace(LIMIT, drift=1e-3, length=1.0, carried=0.5)
    found = compare.compare(run([1.0, 1.0]), run([1.0 + 8e-6, 1.0]), BETA1, allowed)
    assert found.steps[0].before == 0.0
    assert found.steps[1].before == found.steps[0].drift > 0.0
    drifted = replace(found.steps[1], before=1e-4)
    assert drifted.gradient is not None
    apart = replace(drifted, gradient=replace(drifted.gradient, distance=4e-5 * drifted.gradient.first))
    assert apart.within(allowed)
    assert not apart.within(replace(allowed, carried=0.0))
    assert not replace(apart, before=0.0).within(allowed)
