"""A user's own rows in small runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.validation.known.ledger import LENGTH
from harness.validation.read.configuration import Data
from harness.validation.small import own, rows
from harness.validation.small.own import Column

TEXTS = st.text(min_size=1, max_size=200)
TURN = st.tuples(TEXTS, TEXTS).map(
    lambda turn: [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1], "name": "x"}]
)
CHATS = st.lists(TURN, min_size=1, max_size=4).map(lambda turns: [message for turn in turns for message in turn])
PAIR = [Column(("prompt",), "here", answer=False), Column(("completion",), "here")]


def made(*values: dict[str, Any]) -> Data:
    return Data(Path("x.json"), values)


def size(text: str) -> int:
    return len(text.encode(errors="replace"))


@given(TEXTS, st.integers(0, 300))
def test_a_text_is_cut_to_its_first_letters(told: str, most: int) -> None:
    cut = own.text(told, most)
    assert told.encode(errors="replace").decode().startswith(cut)
    assert cut
    assert size(cut) <= max(most, 4)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.integers(1, 40), st.integers(1, 64))
def test_columns_are_short_and_no_others_are_there(pairs: list[tuple[str, str]], wanted: int, of_a_step: int) -> None:
    data = made(*({"prompt": asked, "completion": said, "id": 1} for asked, said in pairs))
    own.misfit(data, PAIR)
    found = own.shortened(data, PAIR, wanted, of_a_step, ())
    assert len(found) == wanted
    assert found == own.shortened(data, PAIR, wanted, of_a_step, ())
    for index, row in enumerate(found):
        assert {*row} == {"prompt", "completion"}
        assert pairs[index % len(pairs)][0].encode(errors="replace").decode().startswith(row["prompt"])
        assert size(row["prompt"]) <= own.QUESTION
        assert size(row["completion"]) <= own.LONGEST


@given(st.lists(CHATS, min_size=1, max_size=4), st.booleans())
def test_messages_keep_their_order_and_few_turns(chats: list[list[dict[str, str]]], long: bool) -> None:
    data, column = made(*({"messages": chat} for chat in chats)), Column(("messages",), "here")
    own.misfit(data, [column])
    found = own.shortened(data, [column], len(chats), 4, range(len(chats)) if long else ())
    for row, chat in zip(found, chats, strict=True):
        assert [m["role"] for m in row["messages"]] == [m["role"] for m in chat][: 2 * own.TURNS]
        assert all({*message} == {"role", "content"} for message in row["messages"])
        assert (size(row["messages"][-1]["content"]) > 2 * LENGTH) is long


def test_answers_of_one_length_become_ragged() -> None:
    data = made({"prompt": "how", "completion": "x" * 1000})
    found = own.shortened(data, PAIR, 20, 4, rows.beyond(20))
    lengths = {len(row["completion"]) for row in found}
    assert len(lengths) > 5
    assert [i for i, row in enumerate(found) if len(row["completion"]) > LENGTH] == list(rows.beyond(20))


def test_a_column_within_columns() -> None:
    data = made({"extra": {"q": "how", "a": "so", "n": 1}, "source": "x"})
    columns = [Column(("extra", "q"), "here", answer=False), Column(("extra", "a"), "here")]
    assert own.shortened(data, columns, 1, 1, ()) == [{"extra": {"q": "how", "a": "so"}}]


def test_the_first_turn_of_a_row() -> None:
    chat = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    assert own.turn({"conversations": chat}, [Column(("conversations",), "here")]) == ("s q", "a")
    assert own.turn({"prompt": "q", "completion": "a"}, PAIR) == ("q", "a")
