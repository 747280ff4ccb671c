"""Which releases a user has: from a file that pins them, from an interpreter, or from the repository around."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import tomllib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness import files, printable
from harness.environments import interpreter
from harness.environments.installer import BuildFailed
from harness.traces import strict_json
from harness.validation.read import bounded
from harness.validation.read.bounded import BadConfiguration

MOST_LOCKED = 2**23
"""Bytes of a lock file, which has a line for each file of each package."""
UP = 3
"""Folders above that of a configuration that are looked into, where none of them is a repository's."""
NAMES = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock", "requirements*.txt", "environment.y*ml",
         "pyproject.toml", "setup.py")  # fmt: skip
"""Files that pin, in a repository: locks say the most, and come first."""

_NAME = r"([A-Za-z0-9][\w.-]*)(?:\[[^\]\n]*\])?"
_LINE = re.compile(rf"^[\s\"']*{_NAME}\s*==\s*([\w.+!-]+)", re.MULTILINE)
_WORD = re.compile(rf"\s*{_NAME}\s*==\s*([\w.+!-]+)\s*(?:;.*)?")
_CONDA = re.compile(rf"\s*(?:[\w-]+::)?{_NAME}\s*={{1,2}}\s*([\w.+!-]+)(?:=.*)?")
_EXACT = re.compile(r"(?:==)?\s*(\d[\w.+!-]*)")
_TYPED = (".txt", ".in", ".toml", ".lock", ".py", ".cfg", ".yml", ".yaml", ".json")
"""Files are read, though some system should call them executable."""

Found = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Pins:
    """Versions by package."""

    versions: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    """What says so; None where nobody does."""
    unread: tuple[str, ...] = ()
    """Files of the repository that might have pinned something, each with what is wrong with it."""


def given(path: Path) -> Pins:
    """Of a file, an interpreter, or the folder of a virtual environment, as --versions names it.

    Raises BadConfiguration.
    """
    if (python := _interpreter(path)) is not None:
        return Pins(_installed(python), str(path))
    found = _of_file(path, f"--versions {path}")
    if not found:
        raise BadConfiguration(f"--versions {path} pins nothing; write NAME==VERSION lines, as `uv pip freeze` does")
    return Pins(found, path.name)


def _interpreter(path: Path) -> Path | None:
    """None for a file that is to be read. Raises BadConfiguration."""
    try:
        if not path.is_dir():
            runs = path.is_file() and os.access(path, os.X_OK) and path.suffix not in _TYPED
            return path if runs else None
        python = path / "bin" / "python"
        if python.exists():
            return python
    except OSError as error:
        raise BadConfiguration(f"--versions {path} cannot be read: {error.strerror}") from None
    raise BadConfiguration(f"--versions {path} is a folder without bin/python; give a file, or an interpreter")


def around(folder: Path, wanted: Collection[str]) -> Pins:
    """Of the repository that a folder lies in: the nearest file that pins one of the wanted packages."""
    unread = []
    for path in (path for place in _upwards(folder) for path in _files(place)):
        try:
            found = _of_file(path, str(path))
        except BadConfiguration as error:
            unread.append(f"{error}; no version is taken from it")
            continue
        if not found.keys().isdisjoint(wanted):
            return Pins(found, os.path.relpath(path, folder), tuple(unread))
    return Pins(unread=tuple(unread))


def _files(folder: Path) -> Iterator[Path]:
    """Those of it that pin; whatever cannot be looked at is none."""
    with contextlib.suppress(OSError):
        yield from (path for pattern in NAMES for path in sorted(folder.glob(pattern)) if path.is_file())


def _upwards(folder: Path) -> Iterator[Path]:
    """A folder and those above it, to that of its repository."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # a loop of links, a NUL
        here = folder.resolve()
        places = [here, *here.parents]
        root = next((at for at, place in enumerate(places) if (place / ".git").exists()), UP)
        yield from places[: root + 1]


def _installed(python: Path) -> dict[str, str]:
    try:
        told = interpreter.ask("--versions", python).packages
    except BuildFailed as error:
        raise BadConfiguration(f"--versions {python}: {error.reason}") from None
    return _valid(iter(told.items()))


def _valid(found: Found) -> dict[str, str]:
    """By the normal form of their names, those that are versions."""
    told = {}
    for name, version in found:
        try:
            told[str(canonicalize_name(name))] = str(Version(version))
        except InvalidVersion:
            continue
    return told


def _of_file(path: Path, at: str) -> dict[str, str]:
    """Raises BadConfiguration."""
    name = path.name.lower()
    if name.endswith(".lock") or name.startswith("pylock."):
        return _valid(_locked(_parsed(path, at)))
    if path.suffix == ".json":
        return _valid(_locked(_parsed(path, at)))
    if path.suffix in (".yml", ".yaml"):
        return _valid(_conda(bounded.mapping(path).values))
    text = bounded.text(path, at, "has")
    if path.suffix == ".toml":
        return _valid(_project(_as(at, "TOML", tomllib.loads, text)))
    if path.suffix == ".py":
        return _valid(_quoted(_as(at, "Python", _tree, text)))
    return _valid((match[1], match[2]) for match in _LINE.finditer(text.removeprefix("\ufeff")))


def _parsed(path: Path, at: str) -> Any:
    """A lock as JSON or TOML, whichever it is. Raises BadConfiguration."""
    try:
        content = files.read(path, MOST_LOCKED)
    except files.TooLarge:
        raise BadConfiguration(f"{at} has more than {MOST_LOCKED >> 20} MiB") from None
    except OSError as error:
        raise BadConfiguration(f"{at} cannot be read: {error.strerror}") from None
    if content.lstrip()[:1] == b"{":
        return _as(at, "JSON", strict_json.loads, content)
    return _as(at, "TOML", lambda told: tomllib.loads(told.decode()), content)


def _as(at: str, kind: str, read: Callable[[Any], Any], content: str | bytes) -> Any:
    try:
        return read(content)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)
        raise BadConfiguration(f"{at} is no {kind} that can be read: {printable.line(said, bounded.LONGEST)}") from None


def _locked(told: Any) -> Found:
    """Of uv, Poetry, PDM and PEP 751, which list packages, or Pipenv, which names them by section."""
    listed = [each for name in ("package", "packages") for each in _list(_mapping(told).get(name))]
    for each in map(_mapping, listed):
        yield from _named(each.get("name"), each.get("version"))
    for section in ("default", "develop"):
        for name, each in _mapping(_mapping(told).get(section)).items():
            yield from _named(name, _mapping(each).get("version"))


def _named(name: Any, version: Any) -> Found:
    exact = _EXACT.fullmatch(version) if isinstance(version, str) else None
    if isinstance(name, str) and exact:
        yield name, exact[1]


def _conda(told: Mapping[str, Any]) -> Found:
    """Of an environment: `NAME=VERSION=BUILD`, and `NAME==VERSION` in its part for pip."""
    for each in _list(told.get("dependencies")):
        words, form = (_list(each.get("pip")), _WORD) if isinstance(each, dict) else ([each], _CONDA)
        yield from _matching(words, form)


def _project(told: Any) -> Found:
    """Every text in it that is an exact requirement; of Poetry, whose versions stand under names, those too."""
    yield from _matching(_texts(told), _WORD)
    poetry = _mapping(_mapping(_mapping(told).get("tool")).get("poetry"))
    groups = [poetry, *map(_mapping, _mapping(poetry.get("group")).values())]
    for name, said in ((name, said) for group in groups for name, said in _mapping(group.get("dependencies")).items()):
        yield from _named(name, said.get("version") if isinstance(said, dict) else said)


def _quoted(told: ast.Module) -> Found:
    yield from _matching((node.value for node in ast.walk(told) if isinstance(node, ast.Constant)), _WORD)


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is somebody else's to write well
        return ast.parse(text)


def _matching(words: Any, form: re.Pattern[str]) -> Found:
    for word in words:
        if isinstance(word, str) and (match := form.fullmatch(word)):
            yield match[1], match[2]


def _texts(node: Any) -> Iterator[Any]:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    yield node
    for each in inner:
        yield from _texts(each)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
