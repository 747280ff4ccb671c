"""Reading a TOML file that a user may have written: what is wrong with it is one line with the place."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness import files, printable

MAX_BYTES = 2**20
LONGEST = 500
"""Characters of what is said of one."""

M = TypeVar("M", bound=BaseModel)

Key = tuple[str | int, ...]


class BadTable(Exception):
    """The file cannot be read, or holds something else; the message is one line that begins with its path."""


def read(path: Path, kind: type[M], context: Any = None) -> M:
    """The file as a record; `context` is for its validators. Raises BadTable."""
    text = ""
    try:
        text = files.read_text(path, MAX_BYTES)
        return kind.model_validate(tomllib.loads(text), context=context)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        said = printable.line(f"{place}: {first['msg']}", LONGEST)
        raise BadTable(f"{path}{_line(text, first['loc'])}: {said}") from None
    except RecursionError:
        raise BadTable(f"{path} cannot be read: it is nested too deeply") from None
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML, or a number with too many digits
        said = getattr(error, "strerror", None) or str(error)
        raise BadTable(f"{path} cannot be read: {printable.line(said, LONGEST)}") from None


def _line(text: str, place: Sequence[str | int]) -> str:
    """`:N`, the line of the last table or key that leads to the place; nothing where none does."""
    found = [(len(key), number) for number, key in _keys(text) if key == tuple(place[: len(key)])]
    return f":{max(found, key=lambda each: each[0])[1]}" if found else ""


def _keys(text: str) -> Iterator[tuple[int, Key]]:
    """Tables and keys that stand at the beginning of a line, by the line's number; an array's tables are numbered."""
    table: Key = ()
    arrays: Counter[Key] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            table = _parts(header[2])
            if header[1] == "[[":
                arrays[table] += 1
                table = (*table, arrays[table] - 1)
            yield number, table
        elif key := re.match(r"\s*([\w.\"' -]+?)\s*=", line):
            yield number, (*table, *_parts(key[1]))


def _parts(dotted: str) -> Key:
    return tuple(part.strip(" \"'") for part in dotted.split("."))
