"""Weights of tokens and of what comes beside them, by the tail and the full basis."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import Model, vary
from harness.intent.of_scenario import of_scenario
from harness.oracle import auxiliary, full_basis, tail_basis
from harness.oracle.basis import Segment
from harness.oracle.terms import Terms, none
from harness.traces.batch import Conversation
from scenarios import weights

MODEL = Model(
    architecture="mixtral", vocab_size=24, hidden_size=16, layers=2, heads=2, kv_heads=1, intermediate_size=12,
    experts=4, experts_per_token=2, init_std=0.3,
)  # fmt: skip
ROWS = (((3, 9, 4, 17, 1), 0, 0), ((3, 9, 5, 6, 20, 1), 0, 1), ((7, 2, 11), 1, 0), ((8, 2, 19, 5), 1, 1))
SCENARIO = vary(scenarios.get("sft-ragged-moe-aux"), model=MODEL, ranks=2, accumulation=2)
PARAMETERS = {n: torch.from_numpy(v) for n, v in weights.initial(MODEL, 0).items()}

many = st.lists(st.floats(-10.0, 10.0), min_size=13, max_size=13)
few = st.lists(st.floats(-10.0, 10.0), min_size=4, max_size=4)


def conversation(ids: tuple[int, ...], rank: int, micro_batch: int) -> Conversation:
    marks = (True,) * len(ids)
    return Conversation(rank, micro_batch, 0, None, ids, marks, marks, marks, None, (0,) * len(ids))


CONVERSATIONS = [conversation(*row) for row in ROWS]


@pytest.fixture(scope="module", params=["tail", "full"])
def terms(request: pytest.FixtureRequest) -> Terms:
    build = {"tail": tail_basis.build, "full": full_basis.build}[request.param]
    basis = build(PARAMETERS, MODEL, [Segment(ids) for ids, _, _ in ROWS])
    return auxiliary.terms(of_scenario(SCENARIO), 0, MODEL, CONVERSATIONS, PARAMETERS, basis)


@settings(deadline=None, max_examples=20)
@given(tokens=many, beside=few)
def test_both_are_given_back(terms: Terms, tokens: list[float], beside: list[float]) -> None:
    right, also = torch.tensor(tokens).double(), torch.tensor(beside).double()
    assert len(terms.basis.losses) == len(right)
    gradient = terms.basis.gradient(right) + terms.gradient(also)
    solved = terms.solve(gradient)
    scale = max(1.0, float(right.abs().max()), float(also.abs().max()))
    assert (solved.weights - right).abs().max() < 1e-8 * scale
    assert (solved.terms - also).abs().max() < 1e-6 * scale
    assert solved.rest.norm() < 1e-8 * scale


def test_there_is_one_for_each_forward_pass_and_they_are_a_mean(terms: Terms) -> None:
    assert [term.place for term in terms.names] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert float(terms.right.sum()) == pytest.approx(SCENARIO.loss.auxiliary)
    assert len(set(terms.right.tolist())) == 1


def test_its_gradient_is_that_of_finite_differences(terms: Terms) -> None:
    way = {n: torch.randn(p.shape, generator=torch.Generator().manual_seed(1)).double() for n, p in PARAMETERS.items()}
    flat = torch.cat([way[name].reshape(-1) for name in sorted(way)])
    step = 1e-6

    def at(sign: float) -> torch.Tensor:
        moved = {n: p.double() + sign * step * way[n] for n, p in PARAMETERS.items()}
        return auxiliary.terms(of_scenario(SCENARIO), 0, MODEL, CONVERSATIONS, moved, terms.basis).losses

    slope = (at(1.0) - at(-1.0)) / (2 * step)
    assert torch.allclose(slope, terms.gradients @ flat, rtol=1e-5, atol=1e-8)


def test_a_loss_of_tokens_alone_is_solved_as_the_basis_does(terms: Terms) -> None:
    gradient = terms.gradient(torch.ones(4).double())
    solved = none(terms.basis).solve(gradient)
    weights, rest = terms.basis.solve(gradient)
    assert torch.equal(solved.weights, weights)
    assert torch.equal(solved.rest, rest)
    assert not len(solved.terms)
    assert solved.rest.norm() > 0.1 * gradient.norm()  # it is no sum of the tokens' gradients


def test_conversations_of_one_micro_batch_are_one_pass() -> None:
    both = [conversation((3, 9, 4), 0, 0), conversation((7, 2), 1, 0), conversation((8, 2, 5), 0, 0)]
    found = {place: tokens.tolist() for place, tokens in auxiliary.passes(both).items()}
    assert found == {(0, 0): [0, 1, 2, 5, 6, 7], (1, 0): [3, 4]}
