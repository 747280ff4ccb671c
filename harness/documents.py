"""Documents of ours as JSON files: written in one step, and read with one line for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from harness import files

Document = TypeVar("Document", bound=BaseModel)


def write(document: BaseModel, path: Path, defaults: bool = True) -> Path:
    """Replace the file in one step, and return its path. Raises OSError.

    defaults: whether fields are written that are as they are by default; None never is, then.
    """
    text = document.model_dump_json(by_alias=True, indent=1, exclude_none=defaults, exclude_defaults=not defaults)
    files.replace(path, text + "\n")
    return path


def read(kind: type[Document], path: Path, most: int, refusal: type[Exception], advice: str) -> Document:
    """The document of a file of at most `most` bytes. Raises `refusal` with one line: what is wrong, and the advice."""
    try:
        return kind.model_validate_json(files.read(path, most))
    except OSError as error:
        raise refusal(f"{path} cannot be read ({error.strerror}); {advice}") from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise refusal(f"{path} cannot be read ({where or 'no JSON'}); {advice}") from None
