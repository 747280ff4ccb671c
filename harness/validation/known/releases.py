"""Which options a release knows, and what they are by default: tables of what releases' own parsers say."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import Version

FOLDER = Path(__file__).with_name("tables")

Spans = Mapping[str, Sequence[tuple[str, str, Any]]]
"""By option: from which release to which it has which default."""


@dataclass(frozen=True)
class Release:
    """The options of one release of a package."""

    package: str
    version: str
    options: Mapping[str, Any]
    """With their defaults; None where there is none, or none that is a plain value."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Configurations of DeepSpeed or accelerate that it ships, by the name that its option has for them."""

    def __str__(self) -> str:
        return f"{self.package.partition('/')[0]} {self.version}"


@functools.cache
def releases(package: str) -> tuple[Release, ...]:
    """Those that are in the tables, the oldest first; none for a package that is in no table."""
    file = FOLDER / f"{package.replace('/', '-')}.json"
    if not file.is_file():
        return ()
    content = json.loads(file.read_text())
    versions: list[str] = content["releases"]
    presets = content.get("presets", {})
    return tuple(
        Release(package, version, _options(content["options"], versions, version), presets.get(version, {}))
        for version in versions
    )


def _options(spans: Spans, versions: Sequence[str], version: str) -> dict[str, Any]:
    at = versions.index(version)
    return {
        name: default
        for name, told in spans.items()
        for first, last, default in told
        if versions.index(first) <= at <= versions.index(last)
    }


def spans(found: Sequence[Release]) -> dict[str, list[tuple[str, str, Any]]]:
    """The inverse, of releases in their order."""
    told: dict[str, list[tuple[str, str, Any]]] = {}
    for before, here in zip([None, *found], found, strict=False):
        for name, default in here.options.items():
            mine = told.setdefault(name, [])
            goes_on = mine and before is not None and mine[-1][1] == before.version
            if goes_on and json.dumps(mine[-1][2]) == json.dumps(default):
                mine[-1] = (mine[-1][0], here.version, default)
            else:
                mine.append((here.version, here.version, default))
    return dict(sorted(told.items()))


def nearest(package: str, version: str) -> Release | None:
    """The newest in the tables that is no newer than that, else one of the same series, else the oldest."""
    found, wanted = releases(package), Version(version)
    older = [one for one in found if Version(one.version) <= wanted]
    alike = [one for one in found if Version(one.version).release[:2] == wanted.release[:2]]
    if alike and not (older and older[-1] in alike):
        return alike[0]
    return older[-1] if older else found[0] if found else None


RENAMED = ("packing_strategy",)
"""Options whose values have other names in other releases, the default's among them."""


def best(package: str, settings: Mapping[str, Any]) -> Release | None:
    """The newest of those that know most of these keys, and what they are set to where its name tells the release."""

    def known(one: Release) -> int:
        named = [key for key in RENAMED if key in settings and one.options.get(key) == settings[key]]
        return len(named) + sum(key in one.options for key in settings)

    found = releases(package)
    return max(reversed(found), key=known) if found else None
