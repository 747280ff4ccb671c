"""The first rows of a file that somebody else may have written."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.validation.read import first_rows
from harness.validation.read.bounded import BadConfiguration
from tests.fuzzing import examples

SETTINGS = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
ROWS = st.lists(
    st.dictionaries(TEXTS, TEXTS | st.integers() | st.none(), min_size=1, max_size=4), min_size=1, max_size=8
)


def written(name: str, content: bytes, folder: str) -> Path:
    place = Path(folder) / name
    place.write_bytes(content)
    return place


@SETTINGS
@given(ROWS, st.integers(1, 9), st.booleans(), st.booleans())
def test_a_list_and_lines_are_the_same_rows(made: list[dict[str, Any]], count: int, as_list: bool, bom: bool) -> None:
    text = json.dumps(made, ensure_ascii=False) if as_list else "\n".join(map(json.dumps, made))
    with tempfile.TemporaryDirectory() as folder:
        place = written("x.json", text.encode("utf-8-sig" if bom else "utf-8"), folder)
        assert first_rows.read(place, count) == tuple(made[:count])


@SETTINGS
@given(ROWS, st.data())
def test_of_a_large_file_the_beginning_is_read(made: list[dict[str, Any]], data: st.DataObject) -> None:
    """Wherever it is cut, what is whole of it is told, and nothing else."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
    end = data.draw(st.integers(0, len(text)))
    found = list(first_rows._objects(Path("x"), text[:end], whole=False))
    assert found == made[: len(found)]
    assert len(found) >= text[:end].count("\n") - 1


@pytest.mark.parametrize("first", ["a", "a,b"])
def test_csv(tmp_path: Path, first: str) -> None:
    place = tmp_path / "x.csv"
    with place.open("w", newline="") as file:
        csv.writer(file).writerows([["q", "a"], ['x, "y"\nz', "1"], [first, "2"]])
    assert first_rows.read(place) == ({"q": 'x, "y"\nz', "a": "1"}, {"q": first, "a": "2"})
    assert len(list(first_rows._csv(place, 'q,a\n1,2\n3,4\n5,"6', whole=False))) == 1


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    place = tmp_path / "x.jsonl"
    with place.open("wb") as file:
        file.write(b'{"a": 1}\n' * 300)
        file.truncate(2**40)  # a file of holes
    assert len(first_rows.read(place, 256)) == 256


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no rows"),
        (b"[]", "has no rows"),
        (b"[1]", "row 1 is a bare value"),
        (b'{"a": 1}\n["b"]', "row 2 is a list"),
        (b"{}", "row 1 is empty"),
        (b'{"a": 1}\n{"b', "line 2 is no JSON"),
        (b"\x80\x04\x95", "no UTF-8, by its byte 1"),
        (b"[" * 100_000, "has no rows"),
        (b'{"a": ' + b"[" * 100_000, "line 1 is no JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "line 1 is no JSON"),
        (b'{"a": "' + b"x" * 2**26, "more than 32 MiB"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_rows(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said) as refusal:
        first_rows.read(written("x.json", content, str(tmp_path)))
    assert "\n" not in str(refusal.value)


@SETTINGS
@pytest.mark.fuzz
@given(st.binary(max_size=200), st.sampled_from([".json", ".jsonl", ".csv"]))
def test_any_bytes(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = written(f"x{suffix}", content, folder)
        told, found = refused(place)
    assert (told is None) is bool(found)
    assert "\n" not in (told or "")
    assert all(isinstance(row, dict) and row for row in found)


def refused(place: Path) -> tuple[str | None, tuple[Any, ...]]:
    try:
        return None, first_rows.read(place)
    except BadConfiguration as error:
        return str(error), ()
