"""A scenario's file as text: values by field, groups as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def text(content: Mapping[str, Any], comment: str = "") -> str:
    """TOML of texts, numbers, yes and no, lists and groups; a group in a group stands in one line."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += [f"{name} = {_value(value)}" for name, value in content.items() if not isinstance(value, Mapping)]
    for name, group in content.items():
        if isinstance(group, Mapping):
            lines += ["", f"[{name}]", *(f"{field} = {_value(value)}" for field, value in group.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_value(inner)}' for name, inner in value.items())} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # Texts, whole numbers and yes and no are written as JSON writes them; of a float it drops nothing either.
    return json.dumps(value)
