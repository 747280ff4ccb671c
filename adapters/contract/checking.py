"""Data from elsewhere as frozen dataclasses: every field against its annotation, said in one line where it differs."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


T = TypeVar("T", bound=Dataclass)

SHOWN = 60
"""Letters of a wrong value that a message repeats."""

LARGEST = 2**31
"""Whole number that a scenario may have."""


def hints(kind: type) -> dict[str, Any]:
    """Annotations by field; worked out once, for a report reads hundreds of scenarios."""
    return _hints(kind)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def build(kind: type[T], data: Any, at: str) -> T:
    """A frozen dataclass from JSON. `at`: what it is called in messages.

    Raises ValueError, in one line, naming the first field that is missing, unknown or not of its type.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{at} is {_shown(data)}, not a {kind.__name__}")
    wanted = {f.name: f for f in dataclasses.fields(kind)}
    for name in data:
        if name not in wanted:
            raise ValueError(f"{at} has no field {_shown(name)}, but {', '.join(wanted)}")
    for name, one in wanted.items():
        if name not in data and one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise ValueError(f"{at} lacks {name!r}")
    types = hints(kind)
    return kind(**{name: _read(types[name], value, f"{at}.{name}") for name, value in data.items()})


def require(right: bool, at: str, value: object, wanted: str) -> None:
    """Raises ValueError unless `right`."""
    if not right:
        raise ValueError(f"scenario.{at} is {value}, not {wanted}")


def _read(kind: Any, value: Any, at: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return build(kind, value, at)
    if origin is tuple:
        _check(isinstance(value, (list, tuple)), value, kind, at)
        return tuple(_read(inner[0], part, f"{at}[{number}]") for number, part in enumerate(value))
    if origin is UnionType:
        return None if value is None and NoneType in inner else _read(_other(inner), value, at)
    _check(_is(value, kind), value, kind, at)
    if kind is int and abs(value) > LARGEST:
        raise ValueError(f"{at} is {_shown(value)}, and no whole number of a scenario is beyond {LARGEST}")
    return float(value) if kind is float else value  # or 1 and 1.0 had two hashes


def _other(inner: tuple[Any, ...]) -> Any:
    """Of a union with None, the part that is not None."""
    (kind,) = (one for one in inner if one is not NoneType)
    return kind


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return type(value) in (str, int, bool) and value in get_args(kind)
    if kind is float:
        # A whole number beyond all floats overflows where it is made one.
        return (type(value) is int and abs(value) <= sys.float_info.max) or (
            type(value) is float and math.isfinite(value)
        )
    return type(value) is kind


def _check(right: bool, value: Any, kind: Any, at: str) -> None:
    if not right:
        raise ValueError(f"{at} is {_shown(value)}, not {named(kind)}")


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) < SHOWN else text[:SHOWN] + "..."


def named(kind: Any) -> str:
    """An annotation as people read it."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
