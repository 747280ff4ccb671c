"""A softmax without the head's extra rows is that of a model without these rows; rows without gradient are told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import scenarios
from adapters.contract import vary
from harness.intent.of_scenario import of_scenario
from harness.oracle import full_basis, head_rows
from harness.oracle.basis import Segment
from harness.oracle.basis_cache import Bases, BasisCache
from harness.oracle.step import RightStep, right_step
from harness.traces.batch import Conversation
from scenarios import rows, text, weights

SCENARIO = rows.fit(vary(scenarios.get("sft-ragged"), vocab_size=53, extra_rows=6, hidden_size=16, layers=1, steps=1))
ROWS = SCENARIO.model.vocab_size
Parameters = dict[str, Tensor]


@pytest.fixture(scope="module")
def step() -> tuple[RightStep, Parameters, list[Segment]]:
    rendered = [text.render(row, SCENARIO.tokenizer.vocabulary) for row in SCENARIO.data.rows[:2]]
    parameters = {n: torch.from_numpy(v) for n, v in weights.initial(SCENARIO.model, 0).items()}
    conversations = [
        Conversation(0, i, 0, i, r.ids, r.loss_mask, r.loss_mask, None, None, (0,) * len(r.ids))
        for i, r in enumerate(rendered)
    ]
    bases = Bases("full", BasisCache())
    right = right_step(of_scenario(SCENARIO), SCENARIO.model, 0, conversations, parameters, bases)
    return right, parameters, [Segment(c.ids) for c in conversations]


def by_tensor(parameters: Parameters, gradient: Tensor) -> Parameters:
    names = sorted(parameters)
    split = torch.split(gradient, [parameters[n].numel() for n in names])
    return {n: part.view(parameters[n].shape) for n, part in zip(names, split, strict=True)}


def test_a_softmax_without_the_extra_rows_is_that_of_a_model_without_them(step):
    right, parameters, segments = step
    ((cause, what, other),) = head_rows.out_of_softmax(right, parameters, segments)
    shorter = {n: p[:-6] if p.shape[0] == ROWS else p for n, p in parameters.items()}
    basis = full_basis.build(shorter, replace(SCENARIO.model, vocab_size=ROWS - 6, extra_rows=0), segments)
    own = by_tensor(parameters, other.basis.gradient(right.weights))
    wanted = by_tensor(shorter, basis.gradient(right.weights))
    assert (cause, what) == ("vocabulary-rows", "out of the softmax")
    for name, part in own.items():
        assert torch.allclose(part[: len(wanted[name])], wanted[name], rtol=0, atol=1e-12)
        assert not part[len(wanted[name]) :].any()


def test_a_model_without_extra_rows_has_no_such_softmax(step):
    right, parameters, segments = step
    plain = replace(right, model=replace(right.model, extra_rows=0))
    assert not list(head_rows.out_of_softmax(plain, parameters, segments))


@pytest.mark.parametrize(("lost", "what"), [(6, head_rows.EXTRA), (1, head_rows.LAST), (0, None), (ROWS, None)])
def test_rows_without_gradient_are_told(step, lost, what):
    right, parameters, segments = step
    each = by_tensor(parameters, right.basis.gradient(right.weights).clone())
    each["lm_head.weight"][ROWS - lost :] = 0
    first = torch.cat([each[n].flatten() for n in sorted(each)])
    found = head_rows.untrained(right, parameters, segments, first, {n: each[n].numel() for n in sorted(each)})
    assert (found and found[0]) == what
    if found:
        _, other, kept = found
        assert int((~kept).sum()) == 2 * lost * SCENARIO.model.hidden_size  # of the head and of the embedding
        assert torch.allclose(other.basis.solve(first[kept])[0], right.weights, rtol=0, atol=1e-9)


def test_a_row_between_others_is_no_end(step):
    right, parameters, segments = step
    each = by_tensor(parameters, right.basis.gradient(right.weights).clone())
    each["lm_head.weight"][7] = 0
    first = torch.cat([each[n].flatten() for n in sorted(each)])
    assert head_rows.untrained(right, parameters, segments, first, {n: each[n].numel() for n in sorted(each)}) is None
