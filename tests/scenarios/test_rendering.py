"""Rows as the tokens that they should be, and as frameworks are known to make them wrongly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from adapters.contract import SPACE, Message, Trained, vary
from harness.oracle import masks
from harness.traces.batch import Conversation
from scenarios import rendering, text
from scenarios.text import Rendered

BASE = scenarios.get("sft-ragged")
BOS = scenarios.get("sft-ragged-bos")
LONG = vary(BOS, max_length=12)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.sampled_from(["responses", "last-answer", "everything"]))
def test_what_is_trained_is_what_the_oracle_takes_for_it(response: list[bool], trained: Trained) -> None:
    """Two ways of their own: runs found from the end here, and from the front there."""
    ids = tuple(range(len(response)))
    made = rendering.to_train(Rendered(ids, tuple(response)), trained).loss_mask
    own = Conversation(0, 0, 0, 0, ids, tuple(response), tuple(response), None, None, ids)
    assert tuple(made[1:]) == masks.masked(own, trained)[1:]


def test_the_last_answer_is_whole_and_alone() -> None:
    row = Rendered(tuple(range(8)), (False, True, True, False, False, True, True, False))
    assert rendering.to_train(row, "last-answer").loss_mask == (False,) * 5 + (True, True, False)


def test_what_all_rows_begin_with() -> None:
    opening = [BOS.tokenizer.vocabulary.index(w) for w in ("<bos>", text.SYSTEM, "babe", "babi", "baba")]
    plain = rendering.rendered(vary(BOS, bos=False, system=""))
    for row, without in zip(rendering.rendered(BOS), plain, strict=True):
        assert row.ids == (*opening, *without.ids)
        assert row.loss_mask == (False,) * 5 + without.loss_mask


def test_rows_are_cut_at_their_end() -> None:
    for row, whole in zip(rendering.rendered(LONG), rendering.rendered(BOS), strict=True):
        assert row.ids == whole.ids[:12]
        assert row.loss_mask == whole.loss_mask[:12]
    assert any(not any(row.loss_mask) for row in rendering.rendered(vary(BOS, max_length=10)))


def test_a_last_answer_that_is_cut_off_leaves_nothing_to_train() -> None:
    """Not the answer before it."""
    said = [Message(role, word) for word in ("baba", "babe") for role in ("user", "assistant")]
    two = vary(BASE, rows=(tuple(said), *BASE.data.rows[1:]), trained="last-answer")
    for length in range(2, 12):
        cut = vary(two, max_length=length)
        first, right = rendering.trained(cut)[0], rendering.rendered(cut)[0]
        assert first.ids == right.ids
        assert [i for i, own in enumerate(first.loss_mask) if own] == [i for i in (8, 9) if i < length]
        lost = rendering.without_last(cut)[0]
        assert lost == (length <= 8)
        own = Conversation(0, 0, 0, 0, right.ids, *[right.loss_mask] * 2, None, None, right.ids, last_lost=lost)
        assert masks.masked(own, "last-answer") == first.loss_mask
    assert not any(rendering.without_last(two))


def test_an_empty_answer_is_its_end() -> None:
    empty = vary(BASE, rows=((Message("user", "baba"), Message("assistant", "")), *BASE.data.rows[1:]))
    first = rendering.rendered(empty)[0]
    assert [BASE.tokenizer.vocabulary[i] for i in first.ids] == [text.USER, "baba", text.ASSISTANT, text.EOS]
    assert first.loss_mask == (False, False, False, True)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a BOS too many", ["<bos>", "<bos>", text.SYSTEM]),
        ("no BOS", [text.SYSTEM, "babe"]),
        ("no default system message", ["<bos>", text.USER]),
        ("cut off at the start", None),
        ("not cut off", ["<bos>", text.SYSTEM]),
        ("an EOS at the cut", ["<bos>", text.SYSTEM]),
        ("an EOS too many", ["<bos>", text.SYSTEM]),
        ("no EOS", ["<bos>", text.SYSTEM]),
    ],
)
def test_what_is_known_to_go_wrong_is_never_a_row(what: str, words: list[str] | None) -> None:
    scenario = BOS if what == "no EOS" else LONG
    right = {row.ids for row in rendering.rendered(scenario)}
    made = rendering.altered(scenario)[what]
    other = [row for row in made if row.ids not in right]
    assert other, "nothing would be told of it"
    for row in made:
        assert len(row.ids) == len(row.loss_mask)
        if words is not None:
            assert [scenario.tokenizer.vocabulary[i] for i in row.ids[: len(words)]] == words


def test_a_space_before_the_eos_is_trained_where_a_space_is_a_token() -> None:
    scenario = scenarios.get("sft-ragged-qwen2")
    made = rendering.altered(scenario)["a space before the EOS"]
    for row, right in zip(made, rendering.rendered(scenario), strict=True):
        words = [scenario.tokenizer.vocabulary[i] for i in row.ids]
        assert words[-2:] == [SPACE, text.EOS]
        assert (*row.ids[:-2], row.ids[-1]) == right.ids
        assert row.loss_mask == (*right.loss_mask, True)


def test_nothing_is_known_of_what_a_scenario_has_not() -> None:
    known = rendering.altered(BASE)
    assert {what for what, made in known.items() if made} == {"an EOS too many", "no EOS"}
