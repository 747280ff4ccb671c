"""A file is written whole or not at all."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
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


def test_nothing_is_written_through_what_stands_in_its_place(tmp_path: Path) -> None:
    """Neither a link nor a pipe."""
    (tmp_path / "precious").write_text("text")
    path = tmp_path / "file.json"
    path.symlink_to(tmp_path / "precious")
    files.replace(path, "one")
    assert (path.is_symlink(), path.read_text()) == (False, "one")
    path.unlink()
    os.mkfifo(path)
    files.replace(path, "two")
    assert path.read_text() == "two"
    assert (tmp_path / "precious").read_text() == "text"
    assert {each.name for each in tmp_path.iterdir()} == {"precious", "file.json"}


def test_nor_through_what_stands_in_the_place_of_the_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "guessed")
    (tmp_path / "precious").write_text("text")
    (tmp_path / f"file.json.{os.getpid()}-guessed.partial").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        files.replace(tmp_path / "file.json", "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("precious", "text")]


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: files.replace(path, "text" * 10_000), range(200)))
    assert path.read_text() == "text" * 10_000
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_user_names_may_be_a_pipe_or_a_link(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write(pipe, "told")
    assert os.read(reader, 100) == b"told"
    os.close(reader)
    assert pipe.is_fifo()
    (tmp_path / "link").symlink_to(tmp_path / "page.html")
    files.write(tmp_path / "link", "page")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "page.html").read_text() == "page"


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


@pytest.mark.parametrize("size", [0, 1, 10])
def test_a_pipe_is_not_waited_for(tmp_path: Path, size: int) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for reading in (
        lambda: files.read(pipe, size),
        lambda: files.read_text(pipe, size),
        lambda: files.tail(pipe, size),
    ):
        with pytest.raises(files.NotRegular, match=r"\Ait is no regular file\Z"):
            reading()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev", "/dev/stdin"])
def test_a_device_or_a_folder_is_no_file(path: str) -> None:
    with pytest.raises(files.Refused):
        files.read(Path(path), 10)


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        with pytest.raises(OSError, match="No such device"):
            files.read(Path("socket"), 10)


def test_a_link_is_followed_only_where_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("told")
    (tmp_path / "link").symlink_to("file")
    assert files.read(tmp_path / "link", 4) == b"told"
    with pytest.raises(files.Link, match=r"\Ait is a symbolic link\Z"):
        files.read(tmp_path / "link", 4, follow=False)
    with pytest.raises(files.Link):
        files.tail(tmp_path / "link", 4)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(OSError):
            files.read(tmp_path / name, 10)


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"0123456789")
    assert [files.tail(log, most) for most in (3, 10, 99)] == [b"789", b"0123456789", b"0123456789"]


def test_a_file_that_is_too_large_is_not_read_at_all(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(files.TooLarge):
        files.read(path, 2**30)
