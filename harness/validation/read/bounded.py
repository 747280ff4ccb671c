"""Reading configurations that somebody else may have written: YAML or JSON, of bounded size and depth, nothing run."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from harness import files, printable
from harness.traces import strict_json
from harness.validation.read import redaction

MAX_BYTES = 2**19
DEEPEST = 24
MOST = 5_000
"""Values in one file, those behind aliases as often as they are named."""
LONGEST = 200
"""Characters of what is said of a file."""


class BadConfiguration(Exception):
    """A configuration cannot be read; one line that begins with where it stands, without secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(printable.line(redaction.text(message), 1000))


class _Loader(yaml.SafeLoader):
    """Plain data alone: numbers such as 1e-5 are numbers, days are text, and no key stands there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((key for key, times in Counter(keys).items() if times > 1 and key != "<<"), None):
            raise ValueError(f"the key {twice[:40]!r} stands there twice")
        result: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return result


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]{1,18}\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]{1,40}\.[0-9]{0,40}|\.[0-9]{1,40}|[0-9]{1,40}(?=[eE]))(?:[eE][-+]?[0-9]{1,3})?\Z"),
    list("-+0123456789."),
)


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(node.value)


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


class _Lenient(_Loader):
    """Takes an escaped quote, which is none of YAML's escapes, for a quote."""

    ESCAPE_REPLACEMENTS: ClassVar = {**yaml.SafeLoader.ESCAPE_REPLACEMENTS, "'": "'"}


@dataclass(frozen=True)
class File:
    """What stands in a file."""

    name: str
    values: dict[str, Any]
    slip: str | None = None
    """Why the framework's own reader would refuse it, where it could be read all the same."""


def mapping(path: Path) -> File:
    """The keys and values of a file. Raises BadConfiguration."""
    try:
        content = files.read(path, MAX_BYTES)
    except files.TooLarge:
        raise BadConfiguration(f"{path} is no configuration: it has more than {MAX_BYTES >> 10} KiB") from None
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror or 'no such file'}") from None
    as_json = path.suffix == ".json"
    try:
        return File(path.name, parsed(content, str(path), as_json))
    except BadConfiguration as error:
        if as_json or 'unknown escape character "\'"' not in str(error):
            raise
        return File(path.name, parsed(content, str(path), False, _Lenient), f"{error}; read here as the quote alone")


def text(path: Path, at: str, has: str) -> str:
    """What stands in a file that is none of these. at, has: how a message begins of one that has too much. Raises
    BadConfiguration."""
    try:
        return _decoded(files.read(path, MAX_BYTES))
    except files.TooLarge:
        raise BadConfiguration(f"{at} {has} more than {MAX_BYTES >> 10} KiB") from None
    except (OSError, ValueError) as error:
        raise BadConfiguration(f"{at} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _decoded(content: bytes) -> str:
    """Raises ValueError."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is UTF-16, expected UTF-8")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8, by its byte {error.start + 1}") from None


def parsed(content: bytes, at: str, as_json: bool, loader: type[_Loader] = _Loader) -> dict[str, Any]:
    """The same of a text; `at` is where it stands. Raises BadConfiguration."""
    kind = "JSON" if as_json else "YAML"
    try:
        decoded = _decoded(content)
        value = strict_json.loads(content) if as_json else value_of(decoded, loader)
        plain = _plain(value, DEEPEST, [0])
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadConfiguration(f"{at} is no {kind}: {place}{_short(error.problem)}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else _short(str(error))
        raise BadConfiguration(f"{at} is no {kind} that can be read: {said}") from None
    if not isinstance(plain, dict):
        raise BadConfiguration(f"{at} is no configuration: it holds no keys with values")
    return plain


def value_of(text: str, loader: type[_Loader] = _Loader) -> Any:
    """One YAML value as it stands. Raises yaml.YAMLError, ValueError and RecursionError."""
    try:
        return yaml.load(text, Loader=loader)
    except (TypeError, AttributeError, KeyError, IndexError) as error:  # a tag that does not fit its value
        raise ValueError(f"a value that its tag does not fit ({_short(str(error))})") from None


def _plain(value: Any, depth: int, count: list[int]) -> Any:
    """The same of JSON's types alone. Raises ValueError for what is nested too deeply, or too much of it."""
    count[0] += 1
    if depth == 0 or count[0] > MOST:
        raise ValueError("it is nested too deeply" if depth == 0 else f"it has more than {MOST} values")
    if isinstance(value, dict):
        return {str(key): _plain(each, depth - 1, count) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each, depth - 1, count) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _short(text: str | None) -> str:
    return printable.line(text or "it cannot be parsed", LONGEST)
