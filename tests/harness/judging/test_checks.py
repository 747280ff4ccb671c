"""Single checks on evidence of a right step with one thing changed by hand: what they say, word for word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.intent.intent import Drawn
from harness.judging import judge
from harness.judging.checks import CHECKS, inputs, order, reported, state, update, weights
from harness.judging.evidence import StepEvidence
from harness.judging.update_rule import update_rule
from harness.oracle.basis_cache import BasisCache
from harness.traces.batch import Conversation, right_rows
from harness.traces.text_files import Reported
from harness.verdicts.findings import CODES


@pytest.fixture(scope="module")
def right(good: Path, bases: BasisCache) -> StepEvidence:
    """The second step of a right trace."""
    return judge.judge(good, bases).steps[1]


Change = Callable[[Conversation], Conversation]


def altered(evidence: StepEvidence, number: int, change: Change) -> StepEvidence:
    """With one conversation changed."""
    conversations = list(evidence.right.conversations)
    conversations[number] = change(conversations[number])
    return replace(evidence, right=replace(evidence.right, conversations=conversations))


def recorded(evidence: StepEvidence, **changed: object) -> StepEvidence:
    """The same step with something else recorded of it."""
    return replace(evidence, recorded=replace(evidence.recorded, **changed))


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_a_right_step_has_no_findings(right: StepEvidence, check) -> None:
    assert list(check(right)) == []


def test_every_code_has_words() -> None:
    assert all(text and "\n" not in text for text in CODES.values())


# ---- inputs


def test_foreign_tokens_name_row_position_and_both_renderings(right: StepEvidence) -> None:
    """The words differ from the fourth on; where, whose, and what was to be there is told."""
    words = right.scenario.tokenizer.vocabulary
    wanted = right_rows(right.scenario)[6].ids
    other = next(i for i in range(10, 64) if i not in wanted)
    got = (*wanted[:3], other, *wanted[4:])
    number = next(i for i, c in enumerate(right.right.conversations) if c.row == 6)
    place = right.right.conversations[number].place
    (found,) = inputs.batch_composition(altered(right, number, lambda c: replace(c, row=None, ids=got)))
    assert found.code == "inputs.token-ids"
    assert (found.step, found.rank, found.micro_batch) == (1, *place)
    assert found.detail == {"row": 6, "position": 3}
    assert f"rank {place[0]}, micro-batch {place[1]}, from position 3" in found.message
    assert "(row 6)" in found.message
    assert f"got '{' '.join(words[i] for i in got[3:9])}'" in found.message
    assert f"expected '{' '.join(words[i] for i in wanted[3:9])}'" in found.message
    assert found.observed == " ".join(words[i] for i in got)
    assert found.expected == " ".join(words[i] for i in wanted)


def test_a_drawn_order_does_not_say_which_row_foreign_tokens_are_of(right: StepEvidence) -> None:
    """The nearest of all rows is told, and whether rows were shuffled is left open."""
    wanted = right_rows(right.scenario)[0].ids  # not of this step in the given order
    shuffled = replace(right.right.intent, drawn=Drawn(16, 16))
    asked = replace(right, right=replace(right.right, intent=shuffled))
    assert [f.code for f in order.order(asked)] == ["inputs.order"]
    step = altered(right, 0, lambda c: replace(c, row=None, ids=(*wanted, 1)))
    step = replace(step, right=replace(step.right, intent=shuffled))
    (found,) = inputs.batch_composition(step)
    assert found.detail == {"row": 0, "position": len(wanted)}
    assert order.order(step) == []


def test_rows_cut_short_or_longer(right: StepEvidence) -> None:
    wanted = right.right.conversations[0].ids
    for ids, position in ((wanted[:-1], len(wanted) - 1), ((*wanted, 1), len(wanted))):
        (found,) = inputs.batch_composition(altered(right, 0, lambda c, ids=ids: replace(c, row=None, ids=ids)))
        assert found.detail == {"row": right.right.conversations[0].row, "position": position}


def test_a_repeated_row_and_the_one_missed(right: StepEvidence) -> None:
    """Step 1 holds rows 4 to 7."""
    first = right.right.conversations[0]
    (found,) = inputs.batch_composition(
        altered(right, 1, lambda c: replace(c, row=first.row, ids=first.ids, trained=first.trained))
    )
    assert found.code == "inputs.batch"
    assert found.detail == {"missing": [5], "extra": [4]}
    assert "lacks rows 5 and repeats or adds rows 4 (expected each of its 4 rows once)" in found.message


def test_rows_that_are_to_come_again(right: StepEvidence) -> None:
    intent = replace(right.right.intent, windows=((((4, 5), (6, 4)),),) * right.right.intent.steps)
    again = replace(right, right=replace(right.right, intent=intent))
    (found,) = inputs.batch_composition(again)
    assert found.detail == {"missing": [4], "extra": [7]}
    assert "(expected row 4 2 times, and of its 4 rows every other once)" in found.message


def test_a_row_of_another_step(right: StepEvidence) -> None:
    (found,) = inputs.batch_composition(altered(right, 0, lambda c: replace(c, row=0)))
    assert found.detail == {"missing": [4], "extra": [0]}


def test_a_wrong_mask_names_its_first_token(right: StepEvidence) -> None:
    c = right.right.conversations[2]
    assert inputs.loss_mask(altered(right, 2, lambda c: replace(c, marked=c.trained))) == []
    without_end = (*c.trained[:-1], False)
    (found,) = inputs.loss_mask(altered(right, 2, lambda c: replace(c, marked=without_end)))
    assert (found.code, found.rank, found.micro_batch) == ("inputs.loss-mask", *c.place)
    assert f"row {c.row} (rank {c.rank}, micro-batch {c.micro_batch})" in found.message
    assert f"position {len(c.ids) - 1} '<eos>' (1 of its {len(c.ids)} tokens; 1 of 4 conversations)" in found.message
    # The mark of a first token says nothing: it is never predicted.
    assert inputs.loss_mask(altered(right, 2, lambda c: replace(c, marked=(True, *c.trained[1:])))) == []


def test_positions_that_run_on(right: StepEvidence) -> None:
    length = len(right.right.conversations[1].ids)
    (found,) = inputs.positions(altered(right, 1, lambda c: replace(c, positions=tuple(range(9, 9 + length)))))
    assert found.code == "inputs.positions"
    assert found.detail["positions"] == list(range(length))
    assert inputs.positions(altered(right, 1, lambda c: replace(c, positions=None))) == []


def test_attention_that_reaches_out_or_not_far_enough(right: StepEvidence) -> None:
    length = len(right.right.conversations[1].ids)
    for reach, wrong in (((-4,) * length, list(range(length))), ((0,) * (length - 1) + (2,), [length - 1])):
        (found,) = inputs.attention(altered(right, 1, lambda c, reach=reach: replace(c, reach=reach)))
        assert found.code == "inputs.attention"
        assert found.detail["positions"] == wrong


# ---- what was reported


SILENT = Reported(step=1, loss=None, grad_norm=None, learning_rate=None)


def _told(right: StepEvidence, factor: float) -> Reported:
    return Reported(step=1, loss=right.loss_right * factor, grad_norm=right.norm_right * factor, learning_rate=None)


@pytest.mark.parametrize("factor", [0.25, 1.01, -1.0, 0.0, float("nan"), float("inf")])
def test_reported_numbers_that_are_wrong(right: StepEvidence, factor: float) -> None:
    told = _told(right, factor)
    (loss,) = reported.loss(recorded(right, told=(told, told)))
    (norm,) = reported.grad_norm(recorded(right, told=(told, told)))
    assert (loss.rank, norm.rank) == (None, None)
    assert (loss.code, norm.code) == ("loss.value", "grad-norm.value")
    assert (loss.expected, norm.expected) == (right.loss_right, right.norm_right)
    assert f"expected {right.loss_right:.6g}" in loss.message
    assert loss.tolerance_source


def test_reported_numbers_within_rounding_or_not_told(right: StepEvidence) -> None:
    near = _told(right, 1 + 1e-8)
    for told in ((near, near), (SILENT, SILENT), (near, SILENT), (SILENT, near)):
        assert reported.loss(recorded(right, told=told)) == []
        assert reported.grad_norm(recorded(right, told=told)) == []


def test_a_number_that_another_rank_reports_wrongly(right: StepEvidence) -> None:
    wrong = _told(right, 2.0)
    for told in ((_told(right, 1.0), wrong), (SILENT, wrong)):
        (loss,) = reported.loss(recorded(right, told=told))
        assert (loss.rank, loss.observed) == (1, wrong.loss)
        assert loss.message.startswith("reported loss of rank 1 at step 1 is ")
        (rate,) = reported.learning_rate(
            recorded(right, told=(SILENT, wrong.model_copy(update={"learning_rate": 9.0})))
        )
        assert (rate.code, rate.rank) == ("learning-rate.value", 1)


# ---- state, update, weights


def test_ranks_that_differ_are_named_in_order(right: StepEvidence) -> None:
    one, two = state.ranks_agree(
        recorded(right, rank_distance={3: ("lm_head.weight", 0.5), 1: ("model.norm.weight", 1e-9)})
    )
    assert (one.code, one.rank, one.tensor, one.observed) == ("state.rank-desync", 1, "model.norm.weight", 1e-9)
    assert (two.rank, two.tensor) == (3, "lm_head.weight")
    assert "rank 3 differs from rank 0 after step 1, most in lm_head.weight: 0.5 (L2)" in two.message


def test_ranks_that_begin_apart_are_told_so(right: StepEvidence) -> None:
    (found,) = state.ranks_agree(recorded(right, rank_distance_before={1: ("lm_head.weight", 0.5)}))
    assert found.message.startswith("rank 1 differs from rank 0 before step 1, most in lm_head.weight")


def moved(evidence: StepEvidence, factor: float, tensors: set[str]) -> StepEvidence:
    """Some tensors took a step of another length."""
    states = {
        n: replace(s, after=s.before + factor * (s.after - s.before)) if n in tensors else s
        for n, s in evidence.recorded.states.items()
    }
    rates = {tensor: evidence.expected_learning_rate(tensor) for tensor in states}
    rule = update_rule(states, evidence.used, evidence.step, rates, evidence.floor)
    return replace(recorded(evidence, states=states), update=rule)


def test_a_wrong_learning_rate_of_one_tensor_and_of_all(right: StepEvidence) -> None:
    (one,) = update.learning_rate(moved(right, 0.5, {"model.norm.weight"}))
    assert (one.code, one.tensor) == ("update.learning-rate", "model.norm.weight")
    assert one.observed == pytest.approx(5e-4, rel=1e-3)
    assert one.message.startswith("model.norm.weight moved with learning rate 0.000")
    (every,) = update.learning_rate(moved(right, 2.0, set(right.recorded.states)))
    assert every.detail["all"] is True
    assert every.message.startswith("all tensors moved with learning rate 0.00")


def test_a_gradient_from_elsewhere_is_a_residual(right: StepEvidence) -> None:
    half = replace(right.observed, rest=0.5 * right.observed.gradient)
    (found,) = weights.residual(replace(right, observed=half))
    assert found.code == "weights.residual"
    assert found.observed == pytest.approx(0.5)
    assert found.message.startswith("0.5 of the gradient's length at step 1")
