"""The recorded basis on a recorded run: weights, and what it makes of the gradient of all tensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.intent.of_scenario import of_scenario
from harness.judging import judge
from harness.oracle import full_basis, recorded_basis
from harness.oracle.basis import Segment
from harness.oracle.recorded_basis import RecordedBasis, head_name
from harness.oracle.step import RightStep, as_computed
from harness.traces import reader
from harness.traces.reader import IncompleteTrace
from scenarios import weights


@pytest.fixture(scope="module")
def right(good: Path) -> RightStep:
    """The last step of a right run."""
    return judge.by_recording(reader.read(good)).steps[-1].right


@pytest.fixture(scope="module")
def basis(right: RightStep) -> RecordedBasis:
    assert isinstance(right.basis, RecordedBasis)
    return right.basis


@pytest.fixture(scope="module")
def whole(good: Path, right: RightStep) -> full_basis.FullBasis:
    trace = reader.read(good)
    parameters = as_computed(trace.state(right.number, "param"), right.intent.precision)
    return full_basis.build(parameters, trace.scenario.model, [Segment(c.ids) for c in right.conversations])


def test_columns_and_losses_are_those_of_a_forward_pass(basis: RecordedBasis, whole: full_basis.FullBasis) -> None:
    assert basis.columns.keys() == whole.columns.keys()
    order = torch.tensor([whole.columns[key] for key in basis.columns])
    assert torch.allclose(basis.losses, whole.losses[order], rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 0.25, 7.0])
def test_a_multiple_of_the_weights_found_has_that_multiple_of_the_gradient(basis: RecordedBasis, factor: float) -> None:
    gradient = basis.gradient(factor * basis.found)
    assert torch.allclose(gradient, factor * basis.recorded, atol=1e-6 * factor * float(basis.recorded.abs().max()))
    assert basis.norm(factor * basis.found) == pytest.approx(factor * float(basis.recorded.norm()), rel=1e-6)
    assert basis.norm(factor * basis.found) == pytest.approx(float(gradient.norm()), rel=1e-9)


def test_the_right_norm_follows_from_the_recorded_gradient(right: RightStep, whole: full_basis.FullBasis) -> None:
    assert right.norm == pytest.approx(whole.norm(_as_in(whole, right, right.weights)), rel=1e-6)


def test_what_the_head_does_not_explain_is_left(basis: RecordedBasis) -> None:
    noise = torch.randn(basis.recorded.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, clean = basis.solve(basis.recorded)
    _, rest = basis.solve(basis.recorded + noise)
    parts = basis.by_tensor(rest)
    assert clean.norm() < 1e-5 * basis.recorded.norm()
    assert 0.9 * basis.by_tensor(noise)[basis.name].norm() < parts[basis.name].norm()
    assert all(not bool(part.any()) for name, part in parts.items() if name != basis.name)


def test_ranks_that_are_scaled_apart_have_the_norms_that_clipping_needs(basis: RecordedBasis, right: RightStep) -> None:
    owners = torch.tensor([right.conversations[slot.conversation].rank for slot in right.slots])
    shown = torch.tensor([float(slot.trained) for slot in right.slots])
    parts = [right.by_column(shown * (owners == rank)) / right.targets for rank in range(2)]
    scaled = replace(basis, found=0.5 * parts[0] + 0.8 * parts[1])
    assert scaled.rank_norms(parts, 1.0) == pytest.approx((2.0, 1.25))
    estimate = tuple(2 * scaled.norm(part) for part in parts)
    assert scaled.rank_norms(parts, None) == estimate
    assert replace(basis, found=0.5 * right.weights).rank_norms(parts, 1.0) != pytest.approx((2.0, 2.0))


def test_the_head_is_found_by_its_name_or_its_shape(right: RightStep) -> None:
    model = right.model
    assert head_name(model) == "lm_head.weight"
    tied = replace(model, tied_embeddings=True)
    assert weights.shapes(tied)[head_name(tied)] == (model.vocab_size, model.hidden_size)


def test_a_tied_head_of_a_batch_with_every_word_is_told_of(good: Path) -> None:
    """All words are inputs, so that no row of the matrix has the head's gradient alone."""
    trace = reader.read(good)
    step = judge.by_recording(trace).steps[0]
    scenario = replace(trace.scenario, model=replace(trace.scenario.model, tied_embeddings=True))
    every = tuple(range(scenario.model.vocab_size))
    c = replace(step.right.conversations[0], ids=(*every, 0), trained=(True,) * (len(every) + 1))
    parameters = {n: t for n, t in trace.state(0, "param").items() if n != "lm_head.weight"}
    fed = torch.zeros(len(every), scenario.model.hidden_size, dtype=torch.float64)
    size = sum(t.numel() for t in parameters.values())
    with pytest.raises(IncompleteTrace, match="every word of the vocabulary is an input"):
        recorded_basis.right_step(
            of_scenario(scenario), scenario.model, 0, [c], parameters, fed, torch.zeros(size, dtype=torch.float64)
        )


def _as_in(whole: full_basis.FullBasis, right: RightStep, found: Tensor) -> Tensor:
    """Weights by the columns of another basis of the same tokens."""
    result = torch.zeros(len(whole.losses), dtype=torch.float64)
    for key, column in right.basis.columns.items():
        result[whole.columns[key]] = found[column]
    return result
