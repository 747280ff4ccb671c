"""A TOML file is a record, or one line that says what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, model_validator

from harness import tables


class Two(BaseModel):
    one: int
    other: int = 2

    @model_validator(mode="after")
    def _rising(self) -> Two:
        if self.one > self.other:
            raise ValueError("falls")
        return self


def test_a_file_is_a_record(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("one = 1\n")
    assert tables.read(tmp_path / "a.toml", Two) == Two(one=1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: .*No such file"),
        (b"one = \n", "cannot be read: Invalid value"),
        (b"one = '\xff'\n", "cannot be read: .*codec"),
        (b"one = 'x'\n", "1: one: Input should be a valid integer"),
        (b"# three\none = 3\n", "file: Value error, falls"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_place(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(tables.BadTable, match=rf"\A{path}:? ?{said}") as error:
        tables.read(path, Two)
    assert len(str(error.value).splitlines()) == 1


class Deep(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: dict[str, int] = {}
    row: list[Two] = []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("inner = { a = 'x' }", 1),
        ("\n[inner]\n# a = 1\na = 'x'", 4),
        ("[inner]\nb = 1\n\"a.c\" = 'x'", 1),
        ("inner.b = 1\ninner.a = 'x'", 2),
        ("[[row]]\none = 1\n[[row]]\nother = 3\none = 'x'", 5),
        ("[[row]]\none = 1\n[[row]]\none = 3", 3),
        ("row = [\n {one = 1},\n {one = 'x'},\n]", 1),
        ("[inner]\na = 1\n[outer]\na = 1", 3),
    ],
)
def test_the_line_is_that_of_the_key_or_of_its_table(tmp_path: Path, content: str, line: int) -> None:
    path = tmp_path / "a.toml"
    path.write_text(content)
    with pytest.raises(tables.BadTable, match=rf"\A{path}:{line}: "):
        tables.read(path, Deep)


@given(before=st.lists(st.sampled_from(["", "# one = 1", "[other]", "[[", "] =", "other.one = 1"]), max_size=5))
def test_any_lines_are_looked_through(before: list[str]) -> None:
    assert tables._line("\n".join([*before, "[wanted]", "key = 1"]), ("wanted", "key")) == f":{len(before) + 2}"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(tables.BadTable, match="cannot be read: it is no regular file"):
            tables.read(path, Two)
