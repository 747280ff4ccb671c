"""What a page shows to a reader, its charts' data among it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""
        self._data: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.found += [value for _, value in attrs if value]

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and "".join(self._data).strip().startswith("{"):
            self.found += _texts(json.loads("".join(self._data)))
        self._inside, self._data = "", []

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self._data.append(data)
        elif self._inside != "style":
            self.found.append(data.strip("\n"))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def shown_by(page: str) -> str:
    """Every text of a page, each in a line: what stands in it, in attributes, and in the data of its charts."""
    reader = _Text()
    reader.feed(page)
    reader.close()
    return "\n".join(reader.found)
