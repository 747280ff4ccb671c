"""One change anywhere in a JSON document, of any kind that its structure allows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

TWICE, NAN = "\u00a7twice", "\u00a7nan"


class Unchanged(Exception):
    """The change came to nothing; try another."""


def choose(value: Any, draw: random.Random) -> tuple[Any, ...]:
    """A path; long lists of numbers do not crowd out the rest."""
    path: tuple[Any, ...] = ()
    while isinstance(value, dict | list) and value and draw.random() < 0.85:
        key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
        path, value = (*path, key), value[key]
    return path


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    parent = value_at(value, path[:-1])
    parent[path[-1]] = new
    return value


def named(path: tuple[Any, ...]) -> str:
    return ".".join(str(key) for key in path if isinstance(key, str)) or "all of it"


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "larger": lambda v: v + 1 if isinstance(v, int) else v * 1.5 + 1e-3,
    "smaller": lambda v: v - 1 if isinstance(v, int) else v * 0.5 - 1e-3,
    "negative": lambda v: -v - 1,
    "none": lambda _: None,
    "zero": lambda _: 0,
    "a string": str,
    "huge": lambda _: 10**30,
    "a float": lambda v: float(v) + 0.5,
    "NaN in words": lambda _: "NaN",
    "NaN": lambda _: NAN,
    "a truth": lambda _: True,
    "a list": lambda v: [v],
}
STRINGS: dict[str, Callable[[Any], Any]] = {
    "another": lambda v: v + "x",
    "empty": lambda _: "",
    "long": lambda _: "x" * 5000,
    "escapes": lambda v: v + "\x1b]52;c;eA==\x07\u202e\x00",
    "surrogate": lambda v: v + "\ud800",
    "none": lambda _: None,
    "a number": lambda _: 7,
    "a list": lambda v: [v],
}
OTHERS: dict[str, Callable[[Any], Any]] = {
    "none": lambda _: None,
    "a number": lambda _: 7,
    "a string": lambda _: "x",
    "a list": lambda _: [],
    "an object": lambda _: {},
    "deep": lambda _: json.loads("[" * 400 + "]" * 400),
}


def _list(value: list[Any], draw: random.Random) -> tuple[str, list[Any]]:
    at = draw.randrange(len(value)) if value else 0
    other = draw.randrange(len(value)) if value else 0
    swapped = list(value)
    if value:
        swapped[at], swapped[other] = swapped[other], swapped[at]
    kinds = {
        "an item less": value[:at] + value[at + 1 :],
        "an item twice": value[: at + 1] + value[at:],
        "items swapped": swapped,
        "emptied": [],
        "doubled": value * 2,
        "turned around": value[::-1],
        "made long": value * 2000,
    }
    return draw.choice(list(kinds.items()))


def _object(value: dict[str, Any], draw: random.Random) -> tuple[str, str, dict[str, Any]]:
    key = draw.choice(list(value)) if value else "x"
    kinds = {
        "a key less": {k: v for k, v in value.items() if k != key},
        "a key more": {**value, "more": 1},
        "a key twice": {**value, f"{TWICE}{key}": draw.choice([value.get(key), 7, None])},
    }
    how = draw.choice(list(kinds))
    return key if how == "a key less" else "", how, kinds[how]


def change(document: Any, draw: random.Random, path: tuple[Any, ...] | None = None) -> tuple[Any, tuple[Any, ...], str]:
    """A JSON document with one change: the document, the path and the kind of change. Raises Unchanged."""
    path = choose(document, draw) if path is None else path
    value, key = value_at(document, path), ""
    if isinstance(value, list) and draw.random() < 0.8:
        how, new = _list(value, draw)
    elif isinstance(value, dict) and draw.random() < 0.8:
        key, how, new = _object(value, draw)
    else:
        scalar = isinstance(value, bool | dict | list) or value is None
        table = OTHERS if scalar else STRINGS if isinstance(value, str) else NUMBERS
        how = draw.choice(list(table))
        new = table[how](value)
    if type(new) is type(value) and new == value:
        raise Unchanged
    return _put(document, path, new), (*path, *([key] if key else [])), how


def text(document: Any) -> str:
    """With what JSON libraries do not write: a key twice, a number that is none."""
    return json.dumps(document).replace(json.dumps(TWICE)[1:-1], "").replace(json.dumps(NAN), "NaN")
