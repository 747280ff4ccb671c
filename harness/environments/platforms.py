"""Whether newest recipes can be installed on other platforms, by resolving alone, and what has no wheel there."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, RootModel

from harness import tables
from harness.environments import installer, recipes, resolution
from harness.environments.request import Request
from harness.environments.resolution import Question

FILE = Path(__file__).with_name("platforms.toml")

AT_ONCE = 4
"""Resolutions; each waits for the package index most of the time."""

_FOLDER_AND_BACKEND = ("UV_FIND_LINKS", "UV_TORCH_BACKEND")
"""Variables that put another build of torch in the place of the index's own; for the CPU, the folder is to be used."""


class Name(StrEnum):
    """How a platform is named; all are Linux."""

    aarch64 = "aarch64"
    x86_64 = "x86-64"
    cpu = "cpu"


@dataclass(frozen=True)
class Platform:
    """One that is resolved for."""

    what: str
    target: str
    """As `uv` names it."""
    cuda: bool
    """Whether torch is its CUDA build, which is the one of the package index."""


PLATFORMS: Mapping[Name, Platform] = {
    Name.aarch64: Platform("aarch64 with CUDA", "aarch64-unknown-linux-gnu", cuda=True),
    Name.x86_64: Platform("x86-64 with CUDA", "x86_64-unknown-linux-gnu", cuda=True),
    Name.cpu: Platform("x86-64 on the CPU", "x86_64-unknown-linux-gnu", cuda=False),
}


class Way(StrEnum):
    """What becomes of a package without a wheel."""

    source = "source"
    install = "install"
    first_use = "first use"
    skipped = "skipped"
    unsupported = "unsupported"
    untried = "untried"


WAYS: Mapping[Way, str] = {
    Way.source: "from source: pure Python",
    Way.install: "from source: compiled when it is installed",
    Way.first_use: "from source: pure Python when it is installed, compiled at first use",
    Way.skipped: "skipped: a stand-in is in its place",
    Way.unsupported: "unsupported: there is no file of it for this platform",
    Way.untried: "from source: nobody has said yet what its build needs",
}


class _Known(BaseModel):
    """What is known of a package without a wheel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    way: Way
    note: str = ""
    of: tuple[str, ...] = ()
    """Frameworks that ask for it and whose recipe leaves it out."""


class _File(RootModel[dict[str, _Known]]):
    """The file: packages by name."""


@dataclass(frozen=True)
class Missing:
    """A package that has no wheel on a platform."""

    package: str
    version: str
    way: Way
    note: str


@dataclass(frozen=True)
class Resolved:
    """A newest release on a platform."""

    framework: str
    version: str
    platform: Name
    why: str = ""
    """Why it does not resolve; empty where it does."""
    packages: int = 0
    """Those that would be installed."""
    torch: str = ""
    nccl: str = ""
    """Version of the library that torch's CUDA build brings; empty without one."""
    missing: tuple[Missing, ...] = ()

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Packages of which there is no file for the platform."""
        return tuple(one.package for one in self.missing if one.way is Way.unsupported)


@dataclass(frozen=True)
class _Package:
    """One of a lock, as `uv` writes it in `pylock.toml` (PEP 751), where wheels for other platforms are left out."""

    name: str
    version: str
    wheel: bool
    source: bool


@cache
def known() -> Mapping[str, _Known]:
    """What `platforms.toml` says."""
    return tables.read(FILE, _File).root


def resolved(
    requests: Sequence[Request], names: Sequence[Name], root: Path, note: Callable[[str], None]
) -> list[Resolved]:
    """Each release, of which the version is known, on each platform. What asks for the same is resolved once.

    Nothing is installed; what has neither a wheel nor the answers to a resolver in its source distribution is built for
    these, as `uv` does for any lock. `root` keeps the days of releases. Raises BuildFailed where this machine or its
    network is to blame.
    """
    questions = {request: _question(request, root) for request in requests}
    wanted = {(questions[request], name): request.framework for request in reversed(requests) for name in names}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {key: pool.submit(_locked, *key, who, note) for key, who in wanted.items()}
        try:
            locks = {key: future.result() for key, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            installer.kill_all()
            raise
    return [_told(request, name, locks[questions[request], name]) for request in requests for name in names]


def _question(request: Request, root: Path) -> Question:
    try:
        return resolution.question(request, recipes.shipped(), root)
    except OSError as error:
        said = f"{root} cannot be written: {error.strerror}"
        raise installer.BuildFailed(request.framework, request.version or "", said, local=True) from None


def _locked(asked: Question, name: Name, framework: str, note: Callable[[str], None]) -> list[_Package] | str:
    """The packages, or why there are none. Raises BuildFailed where this machine or its network is to blame."""
    note(f"resolving {framework} for {PLATFORMS[name].what}")
    left_out = [package for package, of in known().items() if framework in of.of]
    try:
        lock = _all_there_is(asked, name)
        return [*lock, *_compiled(left_out, ["--no-deps"], name)]
    except installer.InstallerError as error:
        if error.local:
            raise installer.BuildFailed(framework, PLATFORMS[name].what, error.reason, error.tail, local=True) from None
        return error.reason


def _all_there_is(asked: Question, name: Name) -> list[_Package]:
    """What is resolved, and what of it has no file at all for the platform. Raises InstallerError."""
    try:
        return resolution.answer(asked, lambda wanted, options: _compiled(wanted, options, name))
    except installer.InstallerError as error:
        refused = _no_file(error.output)
        rest = tuple(text for text in asked.alone if canonicalize_name(Requirement(text).name) != (refused or ("",))[0])
        if refused is None or rest == asked.alone:
            raise
    return [_Package(*refused, wheel=False, source=False), *_all_there_is(replace(asked, alone=rest), name)]


def _no_file(output: str) -> tuple[str, str] | None:
    """Package and version of which `uv` says that the index has no file for the platform, if that is its complaint."""
    found = re.search(r"([\w.-]+)==(\S+) has no (?:\S+ )?wheels with a matching", output)
    return (canonicalize_name(found[1]), found[2]) if found else None


def _compiled(wanted: Sequence[str], options: Sequence[str], name: Name) -> list[_Package]:
    platform = PLATFORMS[name]
    chosen = ["--format=pylock.toml", f"--python-platform={platform.target}", *options]
    folder = installer.variables(os.environ).get("UV_FIND_LINKS")
    if not platform.cuda and not folder:
        chosen.append("--torch-backend=cpu")
    output = resolution.compiled(wanted, chosen, without=_FOLDER_AND_BACKEND[not platform.cuda :])
    return [_package(entry) for entry in tomllib.loads(output).get("packages", [])]


def _package(entry: Mapping[str, Any]) -> _Package:
    return _Package(
        canonicalize_name(entry["name"]), entry.get("version", ""), bool(entry.get("wheels")), "sdist" in entry
    )


def _told(request: Request, name: Name, lock: list[_Package] | str) -> Resolved:
    version = request.version or ""
    if isinstance(lock, str):
        return Resolved(request.framework, version, name, why=lock)
    missing = tuple(_missing(one) for one in sorted(lock, key=lambda one: one.name) if not one.wheel)
    versions = {one.name: one.version for one in lock}
    return Resolved(
        request.framework,
        version,
        name,
        packages=len(lock) - sum(one.way in (Way.skipped, Way.unsupported) for one in missing),
        torch=versions.get("torch", ""),
        nccl=next((of for package, of in versions.items() if package.startswith("nvidia-nccl-")), ""),
        missing=missing,
    )


def _missing(one: _Package) -> Missing:
    told = known().get(one.name) or _Known(way=Way.untried if one.source else Way.unsupported)
    return Missing(one.name, one.version, told.way, told.note)
