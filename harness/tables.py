"""Reading a TOML file that a user may have written: what is wrong with it is one line with the place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from harness import files, printable

MAX_BYTES = 2**20
LONGEST = 500
"""Characters of what is said of one."""

M = TypeVar("M", bound=BaseModel)


class BadTable(Exception):
    """The file cannot be read, or holds something else; the message is one line that begins with its path."""


def read(path: Path, kind: type[M]) -> M:
    """The file as a record. Raises BadTable."""
    try:
        return kind.model_validate(tomllib.loads(files.read_text(path, MAX_BYTES)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        said = printable.line(f"{place}: {first['msg']}", LONGEST)
        raise BadTable(f"{path}: {said}") from None
    except RecursionError:
        raise BadTable(f"{path} cannot be read: it is nested too deeply") from None
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML, or a number with too many digits
        said = getattr(error, "strerror", None) or str(error)
        raise BadTable(f"{path} cannot be read: {printable.line(said, LONGEST)}") from None
