"""From trainings to `mismatch-training.json`: numbers by hand, and what is missing is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.policy import record, results
from harness.policy.record import UnreadableExperiment
from tests.harness.policy import trainings


def test_numbers_by_hand() -> None:
    found = trainings.experiment({("noise 2", "none"): 0.5})
    (noise,) = [arm for arm in found.arms if (arm.kind, arm.size, arm.correction) == ("noise", "2", "none")]
    assert noise.final.mean == pytest.approx(0.51)
    assert noise.less.mean == pytest.approx(-0.3)
    assert noise.less.low == pytest.approx(-0.3)
    assert noise.measures["k3_kl"].mean == pytest.approx(0.1)
    assert len(noise.rewards) == trainings.SIZE.steps / results.CURVE
    assert noise.sampled.mean == pytest.approx(0.51, abs=0.01)
    assert found.arms[0].kind == "exact"
    assert (found.seeds, found.rows, found.missing) == ([0, 1, 2], 16, [])
    assert found.begun_with is not None
    assert found.begun_with.mean == pytest.approx(trainings.BEGUN + 0.01)


def test_of_what_is_missing_nothing_is_concluded() -> None:
    every = trainings.planned()
    made = trainings.trained(every[:-1], {})
    found = results.experiment(every, made, ["it broke"], "")
    assert found.missing == ["sharpening 2.5, sequence mask, seed 2"]
    assert (found.claims, found.broken) == ([], ["it broke"])
    assert len(found.arms) == len(every) / 3 - 1


def test_without_anything() -> None:
    every = trainings.planned()
    found = results.experiment(every, {}, [], "")
    assert (found.arms, len(found.missing)) == ([], len(every))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = trainings.experiment({})
    assert record.read(record.write(found, tmp_path)) == found
    with pytest.raises(UnreadableExperiment, match="cannot be read"):
        record.read(tmp_path / "none.json")
