"""Reading a TOML file that a user may have written: what is wrong with it is one line with the place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from harness import files

MAX_BYTES = 2**20

M = TypeVar("M", bound=BaseModel)


class BadTable(Exception):
    """The file cannot be read, or holds something else; the message is one line that begins with its path."""


def read(path: Path, kind: type[M]) -> M:
    """The file as a record. Raises BadTable."""
    try:
        return kind.model_validate(tomllib.loads(files.read_text(path, MAX_BYTES)))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadTable(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise BadTable(f"{path}: {place}: {first['msg']}") from None
