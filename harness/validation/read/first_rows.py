"""The first rows of a file of the user's: JSON, JSON lines or CSV, of which no more than is needed is read."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import files, printable
from harness.validation.read.bounded import BadConfiguration

Row = Mapping[str, Any]

MOST = 256
"""Rows that are read."""
PIECES = (2**20, 2**25)
"""Bytes at the beginning of a file in which they are looked for: more of them where the first piece has too few."""
PARQUET, MAGIC = ".parquet", b"PAR1"
SUFFIXES = (".json", ".jsonl", ".csv", PARQUET)
COLUMNS = 200
"""Of a row."""


def read(path: Path, count: int = MOST) -> tuple[Row, ...]:
    """So many at most. Raises BadConfiguration."""
    found: list[Row] = []
    for most in PIECES:
        text, whole = _beginning(path, most)
        found = _rows(path, text, whole, count)
        if whole or len(found) == count:
            break
    if not found:
        raise BadConfiguration(f"{path} has no rows, or its first one has more than {PIECES[-1] >> 20} MiB")
    return tuple(found)


def parquet(path: Path) -> None:
    """Raises BadConfiguration where a file does not begin as Parquet does."""
    if _bytes(path, len(MAGIC)) != MAGIC:
        raise BadConfiguration(f"{path} holds no rows: it does not begin as a Parquet file does")


def _bytes(path: Path, most: int) -> bytes:
    try:
        with files.opened(path) as file:
            return file.read(most)
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror or 'no such file'}") from None


def _beginning(path: Path, most: int) -> tuple[str, bool]:
    """Its text, and whether that is all of it."""
    content = _bytes(path, most + 1)
    whole = len(content) <= most
    try:
        return content[:most].decode("utf-8-sig"), whole
    except UnicodeDecodeError as error:
        if not whole and most - error.start < 4:  # a letter that is cut in two
            return content[: error.start].decode("utf-8-sig"), whole
        raise BadConfiguration(f"{path} holds no rows: it is no UTF-8, by its byte {error.start + 1}") from None


def _rows(path: Path, text: str, whole: bool, count: int) -> list[Row]:
    found = _csv(path, text, whole) if path.suffix.lower() == ".csv" else _objects(path, text, whole)
    return [checked(path, number, row) for number, row in enumerate(itertools.islice(found, count), 1)]


def checked(path: Path, number: int, row: Any) -> Row:
    """A row that has named columns. Raises BadConfiguration."""
    if not isinstance(row, dict) or not row:
        what = {"list": "a list", "str": "a text", "dict": "empty"}.get(type(row).__name__, "a bare value")
        raise BadConfiguration(f"{path} holds no rows: its row {number} is {what}, expected columns with names")
    if len(row) > COLUMNS:
        raise BadConfiguration(f"{path}: its row {number} has {len(row)} columns, and {COLUMNS} are read")
    return row


def _csv(path: Path, text: str, whole: bool) -> Iterator[Any]:
    """The last row of a text that was cut is left out: nobody knows how it goes on."""
    complete = text if whole else text[: text.rfind("\n") + 1]
    held: Any = None
    try:
        for row in csv.DictReader(io.StringIO(complete, newline=""), strict=True):
            if held is not None:
                yield held
            held = {key: value for key, value in row.items() if key is not None}
    except csv.Error as error:
        if whole:
            raise BadConfiguration(f"{path} is no CSV: {printable.line(str(error), 120)}") from None
    if held is not None and whole:
        yield held


def _objects(path: Path, text: str, whole: bool) -> Iterator[Any]:
    """Of a list of them, or one behind the other."""
    decoder, at = json.JSONDecoder(), _next(text, 0, " \t\r\n[")
    while at < len(text) and text[at] != "]":
        try:
            row, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if not whole and not isinstance(error, RecursionError):
                return  # it may go on behind what was read
            said = error.msg if isinstance(error, json.JSONDecodeError) else "a value that is too long or too deep"
            line = text.count("\n", 0, at) + 1
            why = f"line {line} is no JSON ({printable.line(said, 120)})"
            raise BadConfiguration(f"{path} holds no rows: {why}") from None
        yield row
        at = _next(text, end, " \t\r\n,")


def _next(text: str, at: int, passed: str) -> int:
    while at < len(text) and text[at] in passed:
        at += 1
    return at
