"""Documents of ours: written in one step, read back the same, refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from harness import documents


class Small(BaseModel):
    """A document."""

    name: str
    count: int = 0
    said: str | None = None


class Refused(Exception):
    """It cannot be read."""


def read(path: Path, most: int = 1000) -> Small:
    return documents.read(Small, path, most, Refused, "make it anew")


def test_a_round_trip_changes_nothing(tmp_path: Path) -> None:
    for defaults in (True, False):
        path = documents.write(Small(name="a", count=2), tmp_path / "small.json", defaults)
        assert read(path) == Small(name="a", count=2)


def test_defaults_are_left_out_where_nobody_wants_them(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    assert documents.write(Small(name="a"), path, defaults=False).read_text() == '{\n "name": "a"\n}\n'
    assert documents.write(Small(name="a"), path).read_text() == '{\n "name": "a",\n "count": 0\n}\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "no JSON"), ('{"name": 3}', "name"), ('{"name": "a", "count": "x"}', "count"), ("x" * 2000, "")],
)
def test_what_is_none_is_refused_in_a_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "small.json"
    path.write_text(content)
    with pytest.raises(Refused) as error:
        read(path)
    assert said in str(error.value)
    assert str(error.value).endswith("; make it anew")
    assert "\n" not in str(error.value)


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file"):
        read(tmp_path / "small.json")
