"""Resolving a recipe to a lock: every package with its exact version, kept on disk so that it is done once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness import files, temporary
from harness.environments import claims, days, hashes, installer, releases
from harness.environments.pins import Lock
from harness.environments.recipes import Recipes, Release
from harness.environments.request import Request

FOLDER = "locks"
MAX_LOCK = 2**20
"""Bytes."""

GRACE = (0, 1, 3, 7)
"""Days after that of a release: it is resolved as of the first on which all that it needs was there."""

Told = TypeVar("Told")

_LINE = re.compile(r"[A-Za-z0-9._-]+==\S+( ;.*)?")

# What besides the recipe decides what uv resolves to. Only a hash of the values is kept: they may hold credentials.
_DECIDING = (
    "UV_FIND_LINKS", "UV_TORCH_BACKEND", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL",
    "UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION", "UV_CONSTRAINT", "UV_OVERRIDE",
)  # fmt: skip


def platform_tag() -> str:
    """The interpreter and machine that a lock holds for."""
    return f"{platform.python_implementation()}-{platform.python_version()}-{platform.system()}-{platform.machine()}"


@dataclass(frozen=True)
class Question:
    """What `uv` is asked for."""

    full: tuple[str, ...]
    """Requirements that bring their dependencies."""
    alone: tuple[str, ...]
    """Requirements that do not."""
    days: tuple[tuple[str, ...], ...]
    """Options that say as of which day; the first that has an answer counts."""
    named: frozenset[str]
    """Packages that the user named a version of."""


def requirements(request: Request, release: Release, pins: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What is installed with, and what without, its dependencies.

    A version of the user's replaces what the recipe says of that package, among those with or those without their
    dependencies, and wins over `pins`, which fill in what the recipe leaves open.
    """
    overrides = dict(request.overrides)
    full, alone = (
        [text.format(version=request.version or "") for text in of] for of in (release.packages, release.no_deps)
    )
    replaced = {_package(text) for text in alone} & set(overrides)
    alone = [f"{_package(text)}=={overrides[_package(text)]}" if _package(text) in replaced else text for text in alone]
    full = [text for text in full if _package(text) not in overrides]
    full, alone = ([_pinned(text, pins) for text in of] for of in (full, alone))
    full += [f"{name}=={chosen}" for name, chosen in request.overrides if name not in replaced]
    return full, alone


def _pinned(text: str, pins: Mapping[str, str]) -> str:
    return f"{text}=={pins[text]}" if text in pins else text


def _package(text: str) -> str:
    return canonicalize_name(Requirement(text).name)


def resolve(
    request: Request, recipes: Recipes, root: Path, note: Callable[[str], None], as_of: dt.date | None = None
) -> Lock:
    """The lock for a resolved request: sorted `name==version` lines, from `root/locks/` if it was resolved before.

    Everything but what is exempt is as of the day of the framework's release, unless the recipe has a day of its own,
    or as of `as_of`. Where nothing fits together with the versions that the request has for other packages, these are
    put under the framework whatever it asks for itself.

    Raises BuildFailed, and OSError if `root` cannot be written.
    """
    framework, version = request.framework, request.version or ""
    asked = question(request, recipes, root, as_of)
    name = f"{framework}-{version}-{_digest(asked)}"
    path = root / FOLDER / f"{name}.txt"
    if lock := read(path):
        return lock
    with claims.exclusive(root, f"{name}.resolve", lambda: note(f"waiting for another run to resolve {request}")):
        if lock := read(path):
            return lock
        note(f"resolving {request}")
        try:
            lines = answer(asked, _lines)
        except installer.InstallerError as error:
            if not request.overrides or error.local or _does_not_exist(error, asked):
                raise installer.BuildFailed(framework, version, _reason(error), error.tail, error.local) from None
            plain = resolve(dataclasses.replace(request, overrides=()), recipes, root, note, as_of)
            lines = _put_under(request, asked, plain, note)
        lock = tuple(sorted(set(lines)))
        _remember(lock, request, root)
        _write(path, lock)
    return lock


def _remember(lock: Lock, request: Request, root: Path) -> None:
    """Record, with the versions that were chosen, which files these are. Raises BuildFailed."""
    try:
        hashes.known(lock, root, origin())
    except installer.InstallerError as error:
        version = request.version or ""
        raise installer.BuildFailed(request.framework, version, error.reason, error.tail, error.local) from None


def question(request: Request, recipes: Recipes, root: Path, as_of: dt.date | None = None) -> Question:
    """What a resolved request asks of `uv`. Raises BuildFailed, and OSError if `root` cannot be written."""
    release = recipes.release(request.framework, request.version or "")
    package = recipes.package(request.framework)
    fixed = as_of or release.exclude_newer
    chosen = [fixed] if fixed else _days(request, package, root)
    # A day chooses what a pin would. Only a recipe with a day of its own is to stand still, and has both.
    held = as_of is None and (release.exclude_newer is not None or not chosen)
    pins = {name: pin for name, pin in recipes.pins.items() if held or name in recipes.exempt}
    full, alone = requirements(request, release, pins)
    # What was asked for by name is not held to a day.
    named = frozenset([package, *(name for name, _ in request.overrides)])
    exempt = [
        f"--exclude-newer-package={name}=2100-01-01" for name in (*recipes.exempt, *release.exempt, *sorted(named))
    ]
    # To the end of the day, wherever this machine is.
    options = ((f"--exclude-newer={day + dt.timedelta(1)}T00:00:00Z", *exempt) for day in chosen)
    return Question(tuple(full), tuple(alone), tuple(options) or ((),), named)


def _days(request: Request, package: str, root: Path) -> list[dt.date]:
    """The day of the release, and some after it. None where nobody knows it. Raises BuildFailed and OSError."""
    version = request.version or ""
    try:
        day = days.released(package, version, root)
    except releases.NoReleases as error:
        raise installer.BuildFailed(request.framework, version, str(error), local=True) from None
    return [] if day is None else [day + dt.timedelta(grace) for grace in GRACE]


def answer(asked: Question, tell: Callable[[Sequence[str], Sequence[str]], list[Told]]) -> list[Told]:
    """What `tell` makes of requirements and options, as of the first day that has an answer.

    Raises InstallerError, of the last day that was tried.
    """
    for options in asked.days:
        try:
            # Without dependencies first: the framework is among them, and what does not exist shows at once.
            return [*tell(asked.alone, ["--no-deps", *options]), *tell(asked.full, options)]
        except installer.InstallerError as error:
            if error.local or options is asked.days[-1] or _does_not_exist(error, asked):
                raise
    raise AssertionError("a question has at least one set of options")


def _does_not_exist(error: installer.InstallerError, asked: Question) -> bool:
    """Whether a version that the user named is the reason; of others it may be that they came out too late."""
    missing = installer.missing_version(error.output)
    return missing is not None and canonicalize_name(missing[0]) in asked.named


def read(path: Path) -> Lock | None:
    """A lock from disk, or None where there is none or it is damaged."""
    try:
        lines = tuple(files.read_text(path, MAX_LOCK).splitlines())
    except (OSError, UnicodeDecodeError):
        return None
    return lines if lines and all(_LINE.fullmatch(line) for line in lines) else None


def origin() -> str:
    """What decides which file of a release is installed: a digest of the machine, and of where packages come from."""
    return _hashed(_origin())


def _origin() -> dict[str, object]:
    environment = installer.variables(os.environ)
    return {
        "platform": platform_tag(),
        "deciding": [environment.get(name) for name in _DECIDING],
        # With the automatic choice of a torch build, a login node and a GPU node that share a folder differ.
        "driver": Path("/proc/driver/nvidia/version").exists(),
    }


def _digest(asked: Question) -> str:
    return _hashed({"full": asked.full, "alone": asked.alone, "days": asked.days, **_origin()})


def _hashed(inputs: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


def compiled(wanted: Sequence[str], options: Sequence[str], without: Collection[str] = ()) -> str:
    """What `uv pip compile` prints; `without`: variables that it does not see. Raises InstallerError."""
    if not wanted:
        return ""
    command = ["pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--no-emit-index-url"]
    return installer.run([*command, *options], stdin="\n".join(wanted) + "\n", without=without)


def _lines(wanted: Sequence[str], options: Sequence[str]) -> list[str]:
    output = compiled(wanted, [*installer.backend_options(os.environ), *options])
    return [line for line in output.splitlines() if _LINE.fullmatch(line)]


def _put_under(request: Request, asked: Question, plain: Lock, note: Callable[[str], None]) -> list[str]:
    """Versions that go with nothing of the release's day. Of the `plain` lock only what has to is changed.

    What they need may be newer than that day; if that is not it, they are put there whatever others ask of them.
    Raises BuildFailed.
    """
    forced = dict(request.overrides)
    try:
        alone = _lines(asked.alone, ["--no-deps", *asked.days[-1]])
        try:
            return [*alone, *_onto(plain, asked.full)]
        except installer.InstallerError as error:
            if error.local or _does_not_exist(error, asked):
                raise
        note(
            f"{request.framework} {request.version} does not go with the versions asked for; it gets them all the same"
        )
        return [*alone, *_onto(plain, asked.full, forced)]
    except installer.InstallerError as error:
        version = request.version or ""
        raise installer.BuildFailed(request.framework, version, _reason(error), error.tail, error.local) from None


def _onto(plain: Lock, wanted: Sequence[str], forced: Mapping[str, str] | None = None) -> list[str]:
    """Resolve, as of no day, with as much of a lock as can stay; `forced` versions whatever others ask of them."""
    with temporary.folder("lock") as folder:
        overrides, lock = folder / "overrides.txt", folder / "lock.txt"
        overrides.write_text("".join(f"{name}=={version}\n" for name, version in (forced or {}).items()))
        lock.write_text("\n".join(plain) + "\n")  # what stands in the output file already is preferred
        _lines(wanted, ["--overrides", str(overrides), "--output-file", str(lock)])
        return [line for line in lock.read_text().splitlines() if _LINE.fullmatch(line)]


def _reason(error: installer.InstallerError) -> str:
    missing = installer.missing_version(error.output)
    if missing is None:
        return error.reason
    package, version = missing
    near = _nearest(package, version)
    return f"there is no {package} {version}" + (f"; nearest releases: {', '.join(near)}" if near else "")


def _nearest(package: str, version: str) -> list[str]:
    """The releases just below and just above, for a message only: whatever goes wrong here, the message is shorter."""
    found: list[str] = []
    for bound, options in (("<", []), (">", ["--resolution=lowest"])):
        try:
            lines = _lines([f"{package}{bound}{version}"], ["--no-deps", *options])
        except installer.InstallerError:
            continue
        found += [line.split("==")[1] for line in lines]
    return found


def _write(path: Path, lock: Lock) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, "\n".join(lock) + "\n")
