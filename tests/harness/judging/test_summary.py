"""What is kept of a judged trace: the right step has no distance from itself, a wrong one does."""

from __future__ import annotations

from pathlib import Path

import pytest

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE, RIGHT, Plan
from harness.judging import judge, summary
from harness.traces import recovered_numbers, text_files
from harness.traces.recovered_numbers import StepWeights
from tests.faults import simulate


def kept(plan: Plan, folder: Path, name: str = "sft-ragged") -> tuple[StepWeights, ...]:
    """Simulated, judged, written and read again."""
    trace = simulate.run(vary(scenarios.get(name), steps=2), plan, folder)
    recovered_numbers.write([summary.summarize(step) for step in judge.judge(trace).steps], trace)
    found = recovered_numbers.read(trace)
    assert found
    return found


@pytest.mark.slow
def test_a_right_run(tmp_path: Path) -> None:
    steps = kept(RIGHT, tmp_path)
    assert [step.step for step in steps] == [0, 1]
    for step in steps:
        assert all(tensor.moved > 0 and tensor.off < 1e-3 for tensor in step.tensors)
        assert step.residual <= step.residual_tolerance
        assert step.learning_rate.recovered == pytest.approx(step.learning_rate.right, rel=step.learning_rate.tolerance)
        assert step.loss.reported == pytest.approx(step.loss.right, rel=step.loss.tolerance)
        assert step.grad_norm.recovered == pytest.approx(min(step.grad_norm.right, 1.0), rel=1e-4)
        for tensor in step.tensors:
            assert tensor.weight_decay == pytest.approx(tensor.right_decay, abs=1e-3)


@pytest.mark.slow
def test_a_dropped_micro_batch_moves_every_tensor_elsewhere(tmp_path: Path) -> None:
    first = kept(CATALOGUE["drop-intermediate"].plan, tmp_path)[0]
    assert all(tensor.off > 0.01 for tensor in first.tensors)


@pytest.mark.slow
def test_tensors_come_in_the_models_order(tmp_path: Path) -> None:
    steps = kept(RIGHT, tmp_path)
    names = [tensor.name for tensor in steps[0].tensors]
    assert names[0] == "model.embed_tokens.weight"
    assert len(names) == len(set(names)) > 10


@pytest.mark.parametrize("content", ["", "[", '[{"step": 0}]', '{"a": 1}'])
def test_a_strange_file_is_no_step(tmp_path: Path, content: str) -> None:
    (tmp_path / recovered_numbers.FILE).write_text(content)
    assert recovered_numbers.read(tmp_path) == ()


def test_what_is_not_finite_is_kept(tmp_path: Path) -> None:
    told = recovered_numbers.Compared(reported=float("nan"), recovered=float("inf"), right=1.0, tolerance=1e-6)
    step = StepWeights(
        step=0, targets=1, right=1.0, tolerance=0.0, residual=0.0, residual_tolerance=0.0,
        loss=told, grad_norm=told, learning_rate=told, tensors=(), conversations=(),
    )  # fmt: skip
    recovered_numbers.write([step], tmp_path)
    (found,) = recovered_numbers.read(tmp_path)
    assert found.loss.reported != found.loss.reported
    assert found.loss.recovered == float("inf")


def test_the_header_is_read_without_torch(good: Path) -> None:
    header, scenario = text_files.header(good)
    assert (header.framework, scenario.name) == ("torch", "small")
    assert len(text_files.reported(good, scenario)) == scenario.window.steps
