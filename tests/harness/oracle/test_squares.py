"""Optimizers that hold squares of gradients alone, held against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.contract import OptimizerKind
from harness.intent.intent import Group, Rule
from harness.oracle import squares
from harness.oracle.update import TensorState, recover, recover_eps
from harness.traces import squares as told

SIZE = 400
MAKERS: dict[str, Any] = {"adagrad": torch.optim.Adagrad, "rmsprop": torch.optim.RMSprop}
NAMES = {"adagrad": "sum", "rmsprop": "square_avg"}


def stepped(
    kind: str, gradients: list[Tensor], decay: float, rate: float, **fields: float
) -> tuple[TensorState, Tensor]:
    """The state around the last of these steps of torch's optimizer, and the gradient that it should tell."""
    p = torch.nn.Parameter(torch.randn(SIZE, generator=torch.Generator().manual_seed(7)))
    made = MAKERS[kind]([p], lr=rate, weight_decay=decay, **fields)
    squared, before = torch.zeros(SIZE), p.detach().clone()
    for g in gradients:
        held = made.state.get(p, {}).get(NAMES[kind], torch.zeros(SIZE))
        p.grad, before, squared = g.clone(), p.detach().clone(), held.detach().clone()
        made.step()
    after = made.state[p][NAMES[kind]].detach()
    shares = (1.0, 1.0) if kind == "adagrad" else (fields["alpha"], 1.0 - fields["alpha"])
    now = p.detach()
    first = told.gradients(({"p": before}, {"p": now}), ({"p": squared}, {"p": after}), *shares)["p"]
    each = (t.double() for t in (before, now, first, after))
    wanted = gradients[-1].double() + decay * before.double()
    return TensorState(*each, second_before=squared.double()), wanted


def of(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(SIZE, generator=generator) for _ in range(3)]


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    decay=st.sampled_from([0.0, 0.01, 0.1]),
    rate=st.floats(1e-3, 1e-1),
    alpha=st.sampled_from([None, 0.5, 0.9, 0.99]),
)
def test_gradient_share_rate_and_what_is_unknown_come_back(
    seed: int, decay: float, rate: float, alpha: float | None
) -> None:
    kind: OptimizerKind = "adagrad" if alpha is None else "rmsprop"
    fields = {} if alpha is None else {"alpha": alpha}
    state, wanted = stepped(kind, of(seed), decay, rate, eps=1e-8, **fields)
    rule = Rule((Group(("*",)),), name=kind, alpha=alpha)
    off = float((state.first - wanted).norm() / wanted.norm())
    assert off <= 5 * squares.unknown({"p": state}, rule) <= 1e-3
    found = squares.kept({"p": state}, rule.eps)
    assert found is not None
    assert found.share == pytest.approx(1.0 if alpha is None else alpha, abs=3e-4)
    assert found.rest <= squares.FOLLOWS
    assert recover("p", state, rule, 3).learning_rate == pytest.approx(rate, rel=1e-3)


def test_squares_that_are_forgotten_are_told() -> None:
    gradients = of(3)
    state, _ = stepped("adagrad", gradients[-1:], 0.0, 1e-2)
    before = gradients[0].double().square()
    found = squares.kept({"p": TensorState(*_of(state), second_before=before)}, 1e-10)
    assert found is not None
    assert abs(found.share) < 1e-5


def _of(state: TensorState) -> tuple[Tensor, ...]:
    return state.before, state.after, state.first, state.second


def test_a_first_step_tells_no_share() -> None:
    state, _ = stepped("rmsprop", of(1)[:1], 0.0, 1e-3, alpha=0.9)
    assert squares.kept({"p": state}, 1e-8) is None


def test_what_did_not_move_is_unknown() -> None:
    state, _ = stepped("adagrad", of(2), 0.0, 1e-2)
    still = TensorState(state.before, state.before, state.first, state.second, second_before=state.second_before)
    assert squares.unknown({"p": still}, Rule((Group(("*",)),), name="adagrad")) == pytest.approx(1.0)


def test_another_eps_explains_the_updates() -> None:
    state, _ = stepped("adagrad", of(4), 0.0, 1e-2, eps=0.1)
    found = recover_eps({"p": state}, Rule((Group(("*",)),), name="adagrad"), {"p": 3})
    assert found == pytest.approx(0.1, rel=1e-2)
