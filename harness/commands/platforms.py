"""`lockstep list platforms`: where newest releases can be installed, and what has no wheel there."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.text import Text

from harness.commands.output import warn
from harness.environments import recipes, store
from harness.environments.platforms import PLATFORMS, WAYS, Missing, Name, Resolved, resolved
from harness.environments.request import BadRequest, parse

_HEAD = """# Platforms

Made by `lockstep list platforms --markdown`; do not edit. Where the newest release of every framework can be installed,
found out by resolving its recipe with `uv` for that platform (Linux, glibc 2.28 or later, Python {python}). Nothing was
installed or run there. With CUDA, torch is the build that the package index has.

| framework | {platforms} |
|---|{dashes}|
"""

_WITHOUT = """
## Packages without a wheel

| package | where | of | way round |
|---|---|---|---|
"""


def told(frameworks: Sequence[str], name: str | None) -> list[Resolved]:
    """Of the releases that are named, or all newest, on one platform or on every one; progress goes to stderr.

    Raises BadRequest, and BuildFailed where nothing can be resolved from here.
    """
    requests = [parse(text).resolved() for text in frameworks or recipes.shipped().framework]
    if own := next((each for each in requests if each.version is None), None):
        raise BadRequest(f"{own} is not resolved, but taken as it is; give NAME or NAME==VERSION")
    return resolved(requests, [Name(name)] if name else list(Name), store.default_root(), warn)


def entries(found: Iterable[Resolved]) -> list[dict[str, Any]]:
    """As JSON."""
    return [{"name": f"{one.framework}=={one.version}", "what": _says(one), **asdict(one)} for one in found]


def _says(one: Resolved) -> str:
    """What one release does on one platform, in a line."""
    if one.why:
        return f"does not resolve: {one.why}"
    if one.unsupported:
        return f"unsupported: there is no file of {', '.join(one.unsupported)} for it"
    nccl = f" with NCCL {one.nccl}" if one.nccl else " without CUDA"
    return f"resolves to {one.packages} packages, torch {one.torch}{nccl}"


def text(found: Iterable[Resolved]) -> Text:
    """For a terminal of any width: a paragraph a release and platform."""
    return Text("\n").join(_paragraph(one) for one in found)


def _paragraph(one: Resolved) -> Text:
    style = "red" if one.why or one.unsupported else "green"
    head = Text.assemble((f"{one.framework}=={one.version}", "bold"), f" on {PLATFORMS[one.platform].what}: ")
    missing = "".join(f"\n  no wheel of {each.package} {each.version}: {_way(each)}" for each in one.missing)
    return head + Text(_says(one), style) + Text(missing)


def _way(one: Missing) -> str:
    return "; ".join(filter(None, (WAYS[one.way], one.note)))


def markdown(found: Sequence[Resolved]) -> str:
    """The whole page. No version of what changes from day to day is in it."""
    names = list(dict.fromkeys(one.platform for one in found))
    head = _HEAD.format(
        python=".".join(platform.python_version_tuple()[:2]),
        platforms=" | ".join(PLATFORMS[name].what for name in names),
        dashes="|".join("---" for _ in names),
    )
    return head + "".join(_rows(found)) + _WITHOUT + "".join(_ways(found, names))


def _rows(found: Iterable[Resolved]) -> Iterator[str]:
    for framework, of in groupby(found, lambda one: f"{one.framework} {one.version}"):
        cells = ("yes" if not one.why and not one.unsupported else _says(one) for one in of)
        yield f"| {framework} | {' | '.join(cells)} |\n"


def _ways(found: Iterable[Resolved], names: Sequence[Name]) -> Iterator[str]:
    """A row a package."""
    lacking = [(missing, one) for one in found for missing in one.missing]
    for package in sorted({missing.package for missing, _ in lacking}):
        of = [(missing, one) for missing, one in lacking if missing.package == package]
        on = [PLATFORMS[name].what for name in names if any(one.platform is name for _, one in of)]
        where = "everywhere" if len(on) == len(names) else ", ".join(on)
        frameworks = ", ".join(dict.fromkeys(one.framework for _, one in of))
        yield f"| {package} | {where} | {frameworks} | {_way(of[0][0])} |\n"
