"""Reading a file that somebody else may have written, whatever it is, and writing one whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path


class Refused(OSError):
    """What is not read although the system would: `strerror` says why, in words that fit behind `cannot be read`."""

    def __str__(self) -> str:
        return self.strerror or ""


class TooLarge(Refused):
    """A file has more bytes than are read of it."""

    def __init__(self, most: int) -> None:
        super().__init__(errno.EFBIG, f"it has more than {most} bytes")


class NotRegular(Refused):
    """A pipe, a device, a socket or a folder in the place of a file: reading it may wait or go on for ever."""

    def __init__(self, mode: int) -> None:
        super().__init__(errno.EINVAL, "Is a directory" if stat.S_ISDIR(mode) else "it is no regular file")


class Link(Refused):
    """A symbolic link where none is followed."""

    def __init__(self) -> None:
        super().__init__(errno.ELOOP, "it is a symbolic link")


@contextmanager
def opened(path: Path, follow: bool = True) -> Iterator[BufferedReader]:
    """A regular file, open for reading bytes; nothing else is waited for.

    `follow` says whether its last name may be a symbolic link. Raises NotRegular, Link and OSError.
    """
    # What is opened is looked at afterwards, so that nothing can be put in its place in between.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise Link from None
        raise
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error)) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise NotRegular(mode)
    with os.fdopen(descriptor, "rb") as file:
        yield file


def read(path: Path, most: int, follow: bool = True) -> bytes:
    """All of a file that somebody else may have written. Raises TooLarge, NotRegular, Link and OSError."""
    with opened(path, follow) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise TooLarge(most)
        content = file.read(most + 1)  # it may grow meanwhile
    if len(content) > most:
        raise TooLarge(most)
    return content


def read_text(path: Path, most: int, follow: bool = True) -> str:
    """The same of a text in UTF-8. Raises UnicodeDecodeError as well."""
    return read(path, most, follow).decode()


def tail(path: Path, most: int) -> bytes:
    """The last bytes of a log, at most `most`; no link is followed. Raises NotRegular, Link and OSError."""
    with opened(path, follow=False) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - most))
        return file.read(most)


def replace(path: Path, text: str) -> None:
    """Put `text` in the place of `path` in one atomic step, so that whoever reads meets the old or the new, never half.

    Whatever has that name, a link or a pipe too, is replaced, and nothing is written through it. Threads and processes
    that write the same file do not meet in the partial one, whose name nobody can guess, and none is left where the
    disk is full. Raises OSError.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write(path: Path, text: str) -> None:
    """The same where a user named the file: a link is followed, and what is no file, as /dev/stdout, is written to."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
    else:
        replace(path.resolve(), text)
