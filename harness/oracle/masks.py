"""Which tokens of a conversation are trained, by the masks that trainers have: right ones, and wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from harness.intent.intent import Trained
from harness.traces.batch import Conversation

Mask = Literal[
    "responses",
    "last-answer",
    "everything",
    "no-eos",
    "no-first",
    "shifted",
    "late",
    "with-tag",
    "into-next",
    "as-marked",
]

MASKS: tuple[Mask, ...] = get_args(Mask)
"""Of two that come to the same the first is named; `as-marked`: by the labels that the model received, whatever made
them; `into-next`: what is right, and the first token of the row behind, in a sequence of several."""


def _following(response: Sequence[bool]) -> list[bool]:
    """Whether the next token is a response's; False at the end."""
    return [*response[1:], False]


def _preceding(response: Sequence[bool]) -> list[bool]:
    """Whether the token before is a response's. The first token of all is predicted by nothing, so it is none."""
    return [False, False, *response[1:-1]][: len(response)]


def _last(response: Sequence[bool]) -> list[bool]:
    """The last run of tokens of a response."""
    result = [False] * len(response)
    end = next((i for i in range(len(response) - 1, -1, -1) if response[i]), -1)
    while end >= 0 and response[end]:
        result[end] = True
        end -= 1
    return result


def _both(one: Sequence[bool], other: Sequence[bool]) -> list[bool]:
    return [a and b for a, b in zip(one, other, strict=True)]


def _either(one: Sequence[bool], other: Sequence[bool]) -> list[bool]:
    return [a or b for a, b in zip(one, other, strict=True)]


_MASKED: dict[Mask, Callable[[Conversation], Sequence[bool]]] = {
    "responses": lambda c: c.response,
    "last-answer": lambda c: (False,) * len(c.ids) if c.last_lost else _last(c.response),
    "everything": lambda c: (True,) * len(c.ids),
    "no-eos": lambda c: _both(c.response, _following(c.response)),
    "no-first": lambda c: _both(c.response, _preceding(c.response)),
    "shifted": lambda c: _following(c.response),
    "late": lambda c: _preceding(c.response),
    "with-tag": lambda c: _either(c.response, _following(c.response)),
    "into-next": lambda c: (*c.trained[:-1], True) if c.into_next else c.trained,
    "as-marked": lambda c: c.response if c.marked is None else c.marked,
}


def masked(conversation: Conversation, mask: Mask) -> tuple[bool, ...]:
    """Whether each token is trained under a mask; what it says of the first one means nothing."""
    return tuple(_MASKED[mask](conversation))


def wanted(conversations: Sequence[Conversation], trained: Trained) -> list[Conversation]:
    """The conversations, their right loss mask being the one that is intended."""
    if trained == "responses":
        return list(conversations)
    return [replace(c, trained=masked(c, trained)) for c in conversations]
