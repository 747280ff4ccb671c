"""JSON as a trace has it: UTF-8, every key once, every number one that JSON has. Other readers take the rest in ways of
their own, so that two of them could read two things."""

from __future__ import annotations

import json
from typing import Any


class BadJson(ValueError):
    """What is no such JSON; the message says what, in a few words."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadJson(f"the key {twice[:40]!r} stands there twice")
    return result


def _constant(name: str) -> Any:
    raise BadJson(f"{name} is no number of JSON")


def loads(content: bytes) -> Any:
    """The value of a JSON text. Raises BadJson."""
    try:
        return json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_constant)
    except BadJson:
        raise
    except RecursionError:
        raise BadJson("it is nested too deeply") from None
    except ValueError as error:
        raise BadJson(f"it is not JSON: {error}") from None
