"""A scenario with other values in some of its fields."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from adapters.contract.checking import hints
from adapters.contract.scenario import Scenario


@functools.cache
def places() -> dict[str, str]:
    """Every field and group by its name, which no other has: the dotted path to it."""
    return dict(_places(Scenario, ""))


def _places(kind: type, at: str) -> list[tuple[str, str]]:
    found = []
    for one in dataclasses.fields(kind):
        found.append((one.name, at + one.name))
        inner = hints(kind)[one.name]
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            found += _places(inner, f"{at}{one.name}.")
    return found


def vary(scenario: Scenario, **fields: Any) -> Scenario:
    """A copy with other fields, by their names in whichever group: `vary(scenario, ranks=1, compute="bf16")`.

    A whole group may be given as well, and fields in it beside it. Raises TypeError for a name that no field has.
    """
    groups_first = sorted(fields, key=lambda name: places().get(name, "").count("."))
    for name in groups_first:
        if name not in places():
            raise TypeError(f"a scenario has no field {name!r}")
        scenario = _put(scenario, places()[name].split("."), fields[name])
    return scenario


def _put(group: Any, path: list[str], value: Any) -> Any:
    name, *inner = path
    return dataclasses.replace(group, **{name: _put(getattr(group, name), inner, value) if inner else value})
