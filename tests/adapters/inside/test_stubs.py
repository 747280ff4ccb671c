"""Stand-ins make imports succeed; whatever calls one of their functions fails."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.inside.stubs import FOLDER

FILES = sorted(FOLDER.rglob("*.py"))


def functions(file: Path) -> dict[str, Callable[..., Any]]:
    names = runpy.run_path(str(file))
    return {name: value for name, value in names.items() if callable(value) and value.__module__ != "typing"}


FUNCTIONS = [(file.relative_to(FOLDER).as_posix(), name) for file in FILES for name in functions(file)]


def test_there_are_some() -> None:
    assert len(FUNCTIONS) >= 7


@pytest.mark.parametrize(("file", "name"), FUNCTIONS)
def test_every_function_of_a_stand_in_fails(file: str, name: str) -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match="stand-in"):
        functions(FOLDER / file)[name]("anything")
