"""A TOML file is a record, or one line that says what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, model_validator

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
        (b"one = 'x'\n", "one: Input should be a valid integer"),
        (b"one = 3\n", "file: Value error, falls"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_place(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(tables.BadTable, match=rf"\A{path}:? {said}") as error:
        tables.read(path, Two)
    assert len(str(error.value).splitlines()) == 1


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(tables.BadTable, match="cannot be read: it is no regular file"):
            tables.read(path, Two)
