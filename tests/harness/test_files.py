"""A file is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import files


def test_the_new_text_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for text in ("old\n", "new, and longer\n"):
        files.replace(path, text)
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_be_written_the_old_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    files.replace(path, "old\n")
    with pytest.raises(UnicodeEncodeError):
        files.replace(path, "\ud800")
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path], "nothing half written is left"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.replace(pipe, "told")
    assert os.read(reader, 100) == b"told"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        files.replace(tmp_path, "told")


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b"x" * 10)
    assert files.read(path, 10) == b"x" * 10
    with pytest.raises(files.TooLarge, match="it has more than 9 bytes"):
        files.read(path, 9)
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "none", 9)
