"""Text from elsewhere, made fit for a file's name."""

from __future__ import annotations

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from reports import plain
from tests.reports.made import HOSTILE


@given(HOSTILE)
def test_a_file_name_names_a_file_of_the_folder(text: str) -> None:
    name = plain.file_name(text)
    assert PurePosixPath(name).name == name
    assert name not in ("", ".", "..")
    assert name.isascii()
    assert len(name) < 128


@given(st.lists(HOSTILE, unique=True))
def test_different_texts_have_different_file_names(texts: list[str]) -> None:
    assert len({plain.file_name(text) for text in texts}) == len(texts)


def test_a_name_that_is_fit_is_kept() -> None:
    assert plain.file_name("deepspeed==0.18.9,torch==2.13.0") == "deepspeed==0.18.9,torch==2.13.0"
