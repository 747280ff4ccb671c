"""What a user asks for with `--framework`: a framework, a release, other packages, or an environment by path."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.environments import recipes
from harness.environments.patch import Patch

EXAMPLES = "write NAME, NAME==VERSION, NAME==VERSION,PACKAGE==VERSION, NAME@/path/to/python or NAME@/path/to/pins.txt"
PINS = ".txt"
"""What the name of a file of pins ends in."""


class BadRequest(Exception):
    """A request cannot be understood; the message is one line with the value and the remedy."""


@dataclass(frozen=True)
class Request:
    """One framework environment, as asked for."""

    framework: str
    """A key of the recipes; of an engine too, which `parse` does not read."""
    version: str | None = None
    """None: the recipe's newest; with an own interpreter or pins, whatever is there."""
    overrides: tuple[tuple[str, str], ...] = ()
    """Other packages and the versions that replace the recipe's, by name."""
    python: Path | None = None
    """An interpreter of the user's own, used as it is; nothing is installed."""
    pins: Path | None = None
    """A file of exact pins (`harness.environments.pins`) that is the whole environment."""
    patches: tuple[Patch, ...] = ()
    """The user's own changes to it, in the order in which they are made; not part of the text that `parse` reads."""

    def __str__(self) -> str:
        """The text that `parse` reads back."""
        if self.python is not None or self.pins is not None:
            return f"{self.framework}@{self.python or self.pins}"
        own = self.framework if self.version is None else f"{self.framework}=={self.version}"
        return ",".join([own, *(f"{name}=={version}" for name, version in self.overrides)])

    def resolved(self) -> Request:
        """The same request with the recipe's newest release where no version was named.

        Raises BadRequest if no recipe covers the version. A request by path comes back unchanged. An own interpreter is
        not Lockstep's to change, so that BadRequest is raised for a diff.
        """
        if self.python is not None and not all(patch.is_python for patch in self.patches):
            raise BadRequest(f"a diff cannot change {self}; patch that by a Python file with apply()")
        if self.python is not None or self.pins is not None:
            return self
        known = recipes.shipped()
        version = self.version or known.every[self.framework].newest
        try:
            known.release(self.framework, version)
        except recipes.NoRecipe as error:
            raise BadRequest(str(error)) from None
        return dataclasses.replace(self, version=version)


def parse(text: str) -> Request:
    """Read `deepspeed`, `deepspeed==0.18.9`, `deepspeed==0.18.9,transformers==4.57.3` or `deepspeed@/path/to/python`.

    After `@` comes the interpreter of an environment made by other means (a container, a cluster's module system):
    it is used as it is, and the framework's version is read from what is installed there. Or a file `*.txt` of exact
    pins, from which an environment is built without asking a resolver.

    Raises BadRequest.
    """
    name, at, path = text.partition("@")
    if at:
        place = _path(path, text)
        own = place.suffix != PINS
        return Request(_framework(name), python=place if own else None, pins=None if own else place)
    first, *others = text.split(",")
    name, version = _split(first)
    framework = _framework(name)
    return Request(framework, version, tuple(sorted(_overrides(others, framework, version))))


def _split(part: str) -> tuple[str, str | None]:
    """`name==version` in its two halves, the version in its normal form."""
    match = re.fullmatch(r"([^=<>!~]*)(?:([=<>!~]+)(.*))?", part.strip(), re.DOTALL)
    if match is None or (match[2] or "==") not in ("=", "=="):
        raise BadRequest(f"{part!r} names no single release; {EXAMPLES}")
    name, operator, version = match[1].strip(), match[2], match[3]
    if operator is None:
        return name, None
    if operator == "=":
        raise BadRequest(f"{part!r} has a single '='; did you mean {f'{name}=={version}'!r}?")
    try:
        return name, str(Version(version))
    except InvalidVersion:
        raise BadRequest(f"{version.strip()!r} in {part!r} is not one exact version; {EXAMPLES}") from None


def _framework(name: str) -> str:
    known = sorted(recipes.shipped().framework)
    canonical = _canonical(name) if name.strip() else ""
    if canonical in known:
        return canonical
    close = difflib.get_close_matches(canonical, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise BadRequest(f"unknown framework {name!r}{hint} (known: {', '.join(known)})")


def _canonical(name: str) -> str:
    try:
        return canonicalize_name(name.strip(), validate=True)
    except InvalidName:
        raise BadRequest(f"{name!r} is not a package name; {EXAMPLES}") from None


def _overrides(parts: Iterable[str], framework: str, chosen: str | None) -> Iterable[tuple[str, str]]:
    own = {framework, recipes.shipped().package(framework)}
    seen: set[str] = set()
    for part in parts:
        name, version = _split(part)
        package = _canonical(name)
        if package in own:
            one, other = (str(Request(framework, release)) for release in (chosen, version))
            raise BadRequest(
                f"{part.strip()!r} after a comma would be a package underneath {framework};"
                f" for two releases repeat --framework, with {one} and with {other}"
            )
        if version is None:
            raise BadRequest(f"{part!r} needs a version: {EXAMPLES}")
        if package in seen:
            raise BadRequest(f"{package!r} is given two versions; name it once")
        seen.add(package)
        yield package, version


def _path(path: str, text: str) -> Path:
    # A NUL or a line break is never meant, and would leave every later message unreadable.
    if not path.strip() or any(ord(c) < 32 for c in path):
        raise BadRequest(f"{text!r} has no path after '@'; {EXAMPLES}")
    return Path(path)
