"""Rows found again in what the model received, however they were laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import Message, Scenario, vary
from harness.traces import batch
from harness.traces.batch import Conversation, right_rows
from harness.traces.text_files import MicroBatch
from scenarios import text

SCENARIO = scenarios.get("sft-ragged")
ROWS = right_rows(SCENARIO)
PAD = 0


@dataclass(frozen=True)
class Layout:
    """One sequence: rows one after the other, with padding around them."""

    rows: tuple[int, ...]
    left: int = 0
    right: int = 0

    def ids(self, rows: Sequence[text.Rendered] = ROWS) -> list[int]:
        return [PAD] * self.left + [i for r in self.rows for i in rows[r].ids] + [PAD] * self.right

    def starts(self, rows: Sequence[text.Rendered] = ROWS) -> list[int]:
        at, result = self.left, [-1] * self.left
        for r in self.rows:
            result += [at] * len(rows[r].ids)
            at += len(rows[r].ids)
        return result + [-1] * self.right

    def marks(self, rows: Sequence[text.Rendered] = ROWS) -> list[int]:
        return [0] * self.left + [int(m) for r in self.rows for m in rows[r].loss_mask] + [0] * self.right

    def positions(self, rows: Sequence[text.Rendered] = ROWS) -> list[int]:
        return [1] * self.left + [p for r in self.rows for p in range(len(rows[r].ids))] + [0] * self.right


def micro_batch(layouts: Sequence[Layout], number: int = 0, rank: int = 0, **changes: object) -> MicroBatch:
    """Sequences of one length: what is short is padded on the right."""
    width = max(len(one.ids()) for one in layouts)
    full = [replace(one, right=one.right + width - len(one.ids())) for one in layouts]
    fields = {
        "input_ids": [one.ids() for one in full],
        "loss_mask": [one.marks() for one in full],
        "position_ids": [one.positions() for one in full],
        "attention_start": [one.starts() for one in full],
    }
    return MicroBatch(step=0, rank=rank, micro_batch=number, **{**fields, **changes})  # type: ignore[arg-type]


def found(*layouts: Layout, **changes: object) -> list[Conversation]:
    return batch.conversations(SCENARIO, [micro_batch(layouts, **changes)])


layouts = st.builds(
    Layout,
    rows=st.lists(st.integers(0, len(ROWS) - 1), min_size=1, max_size=4).map(tuple),
    left=st.integers(0, 5),
    right=st.integers(0, 5),
)


@settings(deadline=None)
@given(places=st.lists(st.lists(layouts, min_size=1, max_size=3), min_size=1, max_size=4))
def test_rows_come_back_from_any_layout(places: list[list[Layout]]) -> None:
    batches = [micro_batch(sequences, number=i // 2, rank=i % 2) for i, sequences in enumerate(places)]
    result = batch.conversations(SCENARIO, batches)
    laid = [
        (i % 2, i // 2, j, row)
        for i, sequences in enumerate(places)
        for j, one in enumerate(sequences)
        for row in one.rows
    ]
    assert [(c.rank, c.micro_batch, c.sequence, c.row) for c in result] == laid
    for c in result:
        assert c.row is not None
        right = ROWS[c.row]
        assert c.ids == right.ids
        assert c.trained == c.marked == right.loss_mask
        assert c.positions == tuple(range(len(c.ids)))
        assert set(c.reach) == {0}
        assert c.targets == sum(right.loss_mask)


@pytest.mark.parametrize(("left", "right"), [(0, 0), (4, 0), (0, 4), (2, 3)])
def test_padding_is_taken_off(left: int, right: int) -> None:
    (c,) = found(Layout((3,), left, right))
    assert (c.row, c.ids, set(c.reach)) == (3, ROWS[3].ids, {0})
    assert c.place == (0, 0)


def test_the_first_token_of_padding_can_be_put_back() -> None:
    first, second = (batch.with_padding(c, PAD) for c in found(Layout((2, 5), left=2, right=3)))
    assert first.ids == ROWS[2].ids  # another row is behind it
    assert second.ids == (*ROWS[5].ids, PAD)
    assert second.trained == second.marked == (*ROWS[5].loss_mask, False)
    assert second.positions == tuple(range(len(second.ids)))
    assert set(second.reach) == {0}
    (alone,) = found(Layout((2,), left=2))
    assert batch.with_padding(alone, PAD) == alone


def test_packed_rows_come_apart_and_leaks_show() -> None:
    first, second = found(Layout((2, 5)))
    assert (first.row, second.row) == (2, 5)
    length = len(ROWS[2].ids)
    open_mask = [[0] * len(Layout((2, 5)).ids())]
    first, second = found(Layout((2, 5)), attention_start=open_mask)
    assert set(first.reach) == {0}
    assert set(second.reach) == {-length}
    first, second = found(Layout((2, 5)), position_ids=[list(range(len(open_mask[0])))])
    assert second.positions == tuple(range(length, length + len(ROWS[5].ids)))


def test_reach_into_padding_is_before_the_start() -> None:
    starts = Layout((3,), left=2).starts()
    (c,) = found(Layout((3,), left=2), attention_start=[[-1, -1, 0, *starts[3:]]])
    assert c.reach[0] == -1
    assert set(c.reach[1:]) == {0}


def test_an_attention_that_is_no_run_shows() -> None:
    starts = Layout((3,)).starts()
    starts[4] = -2
    (c,) = found(Layout((3,)), attention_start=[starts])
    assert c.reach[4] < 0
    assert {r for i, r in enumerate(c.reach) if i != 4} == {0}


def test_a_repeated_row_is_found_twice() -> None:
    assert [c.row for c in found(Layout((1,)), Layout((1,)))] == [1, 1]
    assert [c.row for c in found(Layout((1, 1)))] == [1, 1]


def test_foreign_tokens_are_one_foreign_conversation() -> None:
    ids = list(ROWS[1].ids)
    ids[4] = (ids[4] + 1) % 100 + 10
    (c,) = found(Layout((1,)), input_ids=[ids])
    assert (c.row, c.ids) == (None, tuple(ids))
    assert c.trained == c.marked == ROWS[1].loss_mask
    # Without a mask there is nothing to go by: all of it.
    (c,) = found(Layout((1,)), input_ids=[ids], loss_mask=None)
    assert c.marked is None
    assert c.targets == len(ids) - 1


def test_a_row_cut_short_or_followed_by_something_is_foreign() -> None:
    (c,) = found(Layout((1, 2)), input_ids=[[*Layout((1, 2)).ids()[:-1], 77]])
    assert c.row is None
    cut = [values[:-1] for values in (ROWS[1].ids, Layout((1,)).marks(), Layout((1,)).starts())]
    (c,) = found(
        Layout((1,)),
        input_ids=[list(cut[0])],
        loss_mask=[list(cut[1])],
        attention_start=[list(cut[2])],
        position_ids=None,
    )
    assert (c.row, c.positions) == (None, None)


def test_positions_for_all_sequences_at_once() -> None:
    """As `arange(length)[None]`, which torch broadcasts over the batch."""
    width = max(len(ROWS[1].ids), len(ROWS[2].ids))
    one, two = found(Layout((1,)), Layout((2,)), position_ids=[list(range(width))])
    assert one.positions == tuple(range(len(one.ids)))
    assert two.positions == tuple(range(len(two.ids)))


def test_the_longest_row_that_fits_is_taken() -> None:
    """One row may be how another one begins."""
    short = (Message("user", SCENARIO.data.rows[0][0].content), SCENARIO.data.rows[0][1])
    longer = (*short, *SCENARIO.data.rows[1])
    scenario: Scenario = vary(SCENARIO, rows=(short, longer, *SCENARIO.data.rows[2:]))
    ids = list(text.render(longer, scenario.tokenizer.vocabulary).ids)
    received = {"input_ids": [ids], "loss_mask": None, "position_ids": None, "attention_start": [[0] * len(ids)]}
    whole = MicroBatch(step=0, rank=0, micro_batch=0, **received)
    (c,) = batch.conversations(scenario, [whole])
    assert c.row == 1


def test_a_sequence_of_padding_alone_holds_nothing() -> None:
    assert found(Layout((1,)), attention_start=[[-1] * len(ROWS[1].ids)]) == []


def test_the_right_mask_of_several_turns_is_the_formats() -> None:
    rows = (SCENARIO.data.rows[0] + SCENARIO.data.rows[1], *SCENARIO.data.rows[1:])
    every, last = (
        right_rows(vary(SCENARIO, rows=rows, row_format=row_format))[0].loss_mask
        for row_format in ("conversation", "prompt-completion")
    )
    first, second = ROWS[0].loss_mask, ROWS[1].loss_mask
    assert every == (*first, *second)
    assert last == (*(False for _ in first), *second)


def test_completions_that_are_masked_may_be_hidden() -> None:
    """Two of one prompt too; where they are trained nothing of them may be missing."""
    masked = vary(scenarios.get("grpo-masked"), max_length=15)
    rows = right_rows(masked)
    endless = [i for i, row in enumerate(rows[:4]) if row.ids[-1] != text.SPECIAL.index(text.EOS)]
    assert len(endless) > 1
    prompt = rows[0].ids[: rows[0].loss_mask.index(True)]
    seen = {"input_ids": [list(prompt)], "attention_start": [[0] * len(prompt)]}
    hidden = [micro_batch([Layout((0,))], **seen, loss_mask=None, position_ids=None)]
    found = batch.conversations(masked, hidden * len(endless))
    assert [c.row for c in found] == endless
    assert all(c.ids == prompt and c.response == (False,) * len(prompt) for c in found)
    trained = batch.conversations(vary(masked, truncated="trained"), hidden)
    assert [c.row for c in trained] == [None]
