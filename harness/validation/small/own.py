"""The user's own first rows in a small run: their columns, with texts that are cut to what it can take."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from harness import printable
from harness.validation.known.ledger import LENGTH
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Data
from harness.validation.small import rows
from harness.validation.small.kept import Kept
from harness.validation.small.runs import Run

LONGEST = 40
"""Bytes of an answer at most: a small tokenizer has hardly more than one of a token."""
QUESTION = 24
"""Bytes of all that is asked in a row."""
BEYOND = 4 * LENGTH
"""Bytes of an answer that is longer than a small run takes."""
TURNS = 2
"""Answers of a conversation that are kept."""
ROLES, TEXTS = ("role", "from"), ("content", "value")
"""What messages call who speaks, and what is said."""
QUESTIONS = ("instruction", "prompt", "question", "query", "problem", "input")
ANSWERS = ("output", "response", "completion", "answer", "solution", "target")
CHATS = ("messages", "conversations")
"""What columns are called, where nothing says which they are."""
SPEAKERS = ("assistant", "gpt", "model", "bot", "chatgpt")


@dataclass(frozen=True)
class Column:
    """Something of a row that a framework reads: a text, or a list of messages."""

    path: tuple[str, ...]
    """Names, from the row inwards."""
    by: str
    """What names it, in words."""
    answer: bool = True
    """Whether a text of it is trained; of messages those of the assistant are."""
    needed: bool = True


def usual(data: Data) -> list[Column]:
    """The columns of a conversation by their usual names. Raises BadConfiguration."""
    there, by = data.columns, "as it is usually called"
    if (chat := next((name for name in CHATS if name in there), None)) is not None:
        return [Column((chat,), by)]
    asked, said = (next((n for n in names if n in there), None) for names in (QUESTIONS, ANSWERS))
    if asked is None or said is None:
        known = f"{' or '.join(CHATS)}, or one of {', '.join(QUESTIONS)} with one of {', '.join(ANSWERS)}"
        raise BadConfiguration(f"{data.path} has no column {known}; it has: {_named(there)}")
    more = [Column(("input",), by, answer=False, needed=False)] if asked == "instruction" else []
    return [Column((asked,), by, answer=False), *more, Column((said,), by)]


def _named(columns: Sequence[str]) -> str:
    return printable.line(", ".join(map(str, columns)), 300)


def misfit(data: Data, columns: Sequence[Column]) -> None:
    """Raises BadConfiguration, in one line, where a row has not what these ask for."""
    for number, row in enumerate(data.rows or (), 1):
        for column in columns:
            _checked(data, number, row, column)


def _checked(data: Data, number: int, row: Mapping[str, Any], column: Column) -> None:
    value = _at(row, column.path)
    at, name = f"{data.path}: row {number}", ".".join(column.path)
    if value is None:
        if column.needed:
            raise BadConfiguration(f"{at} has no column {name} ({column.by}); it has: {_named(list(row))}")
    elif isinstance(value, list):
        _checked_messages(value, f"{at}, column {name}", column)
    elif not isinstance(value, str):
        raise BadConfiguration(f"{at} has no text in the column {name} ({column.by}), nor a list of messages")


def _checked_messages(value: Sequence[Any], at: str, column: Column) -> None:
    spoken = [_keys(message) for message in value]
    if None in spoken or not spoken:
        raise BadConfiguration(f"{at}: expected messages, each with a role and a text ({column.by})")
    if column.answer and not any(_answers(message) for message in value):
        raise BadConfiguration(f"{at} has no message of the assistant, so that nothing of it is trained")


def _at(row: Any, path: Sequence[str]) -> Any:
    for name in path:
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def _keys(message: Any) -> tuple[str, str] | None:
    """What it calls who speaks, and what is said."""
    if not isinstance(message, Mapping):
        return None
    role = next((key for key in ROLES if isinstance(message.get(key), str)), None)
    text = next((key for key in TEXTS if isinstance(message.get(key), str)), None)
    return None if role is None or text is None else (role, text)


def _answers(message: Mapping[str, Any]) -> bool:
    keys = _keys(message)
    return keys is not None and message[keys[0]] in SPEAKERS


def of_run(
    kept: Kept,
    run: Run,
    columns: Callable[[], Sequence[Column]],
    turns: int,
    row: Callable[[rows.Turns], dict[str, Any]],
    long: bool,
    share: int = 1,
) -> list[dict[str, Any]]:
    """The rows of a run: the user's own first ones, else made up, of so many turns, by `row` in the dataset's format.

    long: whether some are longer than a small run takes. share: of the words of a step, they have one in so many.
    """
    of_a_step = share * run.crowd
    data, which = kept.configuration.data, rows.beyond(run.rows) if long and not run.short else ()
    if data is None or not data.rows:
        return [row(one) for one in rows.conversations(run.rows, of_a_step, turns, which)]
    return shortened(data, columns(), run.rows, of_a_step, which)


def shortened(
    data: Data, columns: Sequence[Column], wanted: int, of_a_step: int, long: Sequence[int]
) -> list[dict[str, Any]]:
    """So many rows that fit (`misfit`), over again where there are too few, each with these columns alone.

    Answers become ragged, and of many rows each is short, as `rows.conversations` has it; those that are `long` have
    more than a small run takes.
    """
    draw, most = random.Random(0), rows.most(LONGEST, of_a_step)
    there = data.rows or ()
    found = []
    for index in range(wanted):
        row, answers = there[index % len(there)], draw.randint(rows.SHORTEST, most)
        made: dict[str, Any] = {}
        texts = sum(not column.answer for column in columns) or 1
        for column in columns:
            value = _at(row, column.path)
            if value is not None:
                size = _Size(QUESTION // texts, answers, index in long)
                put(made, column.path, _cut(value, column.answer, size))
        found.append(made)
    return found


@dataclass(frozen=True)
class _Size:
    """Bytes of all questions and of all answers."""

    questions: int
    answers: int
    long: bool
    """Whether the last answer has more than a small run takes."""


def _cut(value: Any, answer: bool, size: _Size) -> Any:
    if isinstance(value, str):
        return _answered(value, size.answers, size.long) if answer else text(value, size.questions)
    return list(_messages(value, size))


def _messages(value: Sequence[Mapping[str, Any]], size: _Size) -> Iterator[dict[str, Any]]:
    """Up to the last answer that is kept; who speaks, and what is said."""
    ends = [at for at, message in enumerate(value) if _answers(message)][:TURNS]
    kept = value[: ends[-1] + 1] if ends else value[: TURNS * 2]
    others = max(1, len(kept) - len(ends))
    for at, message in enumerate(kept):
        role, said = _keys(message) or ROLES[:1] + TEXTS[:1]
        if at in ends:
            now = _answered(message[said], size.answers // len(ends), size.long and at == ends[-1])
        else:
            now = text(message[said], size.questions // others)
        yield {role: message[role], said: now}


def _answered(told: str, most: int, long: bool) -> str:
    if not long:
        return text(told, most)
    return text((told or " ") * (1 + BEYOND // max(1, len(told.encode(errors="replace")))), BEYOND)


def text(told: str, most: int) -> str:
    """Its first bytes, at least a letter of it; what is no text in UTF-8 becomes a question mark."""
    whole = told.encode(errors="replace")
    return next(cut for end in count(max(1, most)) if (cut := whole[:end].decode(errors="ignore")) or end >= len(whole))


def put(made: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Into a row, at these names from it inwards."""
    for name in path[:-1]:
        made = made.setdefault(name, {})
    made[path[-1]] = value


def turn(row: Mapping[str, Any], columns: Sequence[Column]) -> tuple[str, str]:
    """The first question of a row, and its answer."""
    asked, said = [], []
    for column in columns:
        value = _at(row, column.path)
        if isinstance(value, list):
            end = next((at for at, message in enumerate(value) if _answers(message)), len(value) - 1)
            asked += [_said(message) for message in value[:end]]
            said.append(_said(value[end]))
        elif value is not None:
            (said if column.answer else asked).append(value)
    return " ".join(asked), " ".join(said)


def _said(message: Mapping[str, Any]) -> str:
    keys = _keys(message)
    return "" if keys is None else str(message[keys[1]])
