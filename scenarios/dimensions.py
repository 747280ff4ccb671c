"""The fields of a scenario as people are told of them: path, values, default, and what they mean."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, get_args

from adapters.contract import Scenario, hints, named


@dataclass(frozen=True)
class Dimension:
    """One field of a scenario."""

    path: str
    """Dotted, as in a scenario's file."""
    values: str
    default: Any
    """MISSING of `dataclasses` where there is none."""
    what: str
    """In one line; empty where the name says it."""

    @property
    def default_told(self) -> str:
        return "" if self.default is dataclasses.MISSING else repr(self.default)


@cache
def dimensions() -> tuple[Dimension, ...]:
    """All of them, group by group."""
    return tuple(_of(Scenario, ""))


def _of(kind: type, at: str) -> Iterator[Dimension]:
    told, types = _docstrings(kind), hints(kind)
    for one in dataclasses.fields(kind):
        inner, path = types[one.name], f"{at}{one.name}"
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            yield from _of(inner, f"{path}.")
            continue
        default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
        yield Dimension(path, _values(inner), default, told.get(one.name, ""))


def _values(kind: Any) -> str:
    """`'none' | 'linear'` of a Literal; else the annotation, a group in it with its fields."""
    text = named(kind)
    for group in (part for part in get_args(kind) if isinstance(part, type) and dataclasses.is_dataclass(part)):
        fields = ", ".join(one.name for one in dataclasses.fields(group))
        text = text.replace(f"{group.__module__}.{group.__qualname__}", f"{group.__name__}({fields})")
    return text[len("Literal[") : -1].replace(", ", " | ") if text.startswith("Literal[") else text


def _docstrings(kind: type) -> dict[str, str]:
    """The string that stands below a field in the source, its first sentence."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    found = {}
    lines = body.body if isinstance(body, ast.ClassDef) else []
    for before, after in pairwise(lines):
        match before, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = _sentence(text)
    return found


def _sentence(text: str) -> str:
    whole = " ".join(text.split())
    return whole.partition(". ")[0].rstrip(".")
