"""Resolving a recipe to a lock: every package with its exact version, kept on disk so that it is done once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness import files
from harness.environments import claims, installer
from harness.environments.recipes import Recipes, Release
from harness.environments.request import Request

FOLDER = "locks"

Lock = tuple[str, ...]

_LINE = re.compile(r"[A-Za-z0-9._-]+==\S+( ;.*)?")

# What besides the recipe decides what uv resolves to. Only a hash of the values is kept: they may hold credentials.
_DECIDING = (
    "UV_FIND_LINKS", "UV_TORCH_BACKEND", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL",
    "UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION", "UV_CONSTRAINT", "UV_OVERRIDE",
)  # fmt: skip


def platform_tag() -> str:
    """The interpreter and machine that a lock holds for."""
    return f"{platform.python_implementation()}-{platform.python_version()}-{platform.system()}-{platform.machine()}"


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
    full = [_pinned(text, pins) for text in full]
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

    `as_of`: the day to resolve at, instead of the recipe's own, without the recipes' pins but those exempt from dates.
    Where nothing fits together with the versions that the
    request has for other packages, these are put under the framework whatever it asks for itself.

    Raises BuildFailed, and OSError if `root` cannot be written.
    """
    framework, version = request.framework, request.version or ""
    release, fixed = recipes.release(framework, version), recipes.pins
    if as_of is not None:
        release = release.model_copy(update={"exclude_newer": as_of})
        fixed = {package: pin for package, pin in fixed.items() if package in recipes.exempt}
    # What a recipe puts beside the framework, whatever the day is.
    release = release.model_copy(update={"no_deps": tuple(_pinned(text, recipes.pins) for text in release.no_deps)})
    full, alone = requirements(request, release, fixed)
    # What was asked for by name is not held to a date either.
    named = [recipes.package(framework), *(package for package, _ in request.overrides)]
    dates = _dates(release, [*recipes.exempt, *named])
    name = f"{framework}-{version}-{_digest(full, alone, dates)}"
    path = root / FOLDER / f"{name}.txt"
    if lock := read(path):
        return lock
    with claims.exclusive(root, f"{name}.resolve", lambda: note(f"waiting for another run to resolve {request}")):
        if lock := read(path):
            return lock
        note(f"resolving {request}")
        try:
            # Without dependencies first: the framework is among them, and a version that does not exist shows at once.
            lines = _compile(alone, ["--no-deps"])
            try:
                lines += _compile(full, dates)
            except installer.InstallerError as error:
                if not request.overrides or error.local or installer.missing_version(error.output):
                    raise
                plain = resolve(dataclasses.replace(request, overrides=()), recipes, root, note, as_of)
                note(f"{framework} {version} does not go with the versions asked for; it gets them all the same")
                lines += _force(full, dict(request.overrides), plain)
        except installer.InstallerError as error:
            raise installer.BuildFailed(framework, version, _reason(error), error.tail, error.local) from None
        lock = tuple(sorted(set(lines)))
        _write(path, lock)
    return lock


def read(path: Path) -> Lock | None:
    """A lock from disk, or None where there is none or it is damaged."""
    try:
        lines = tuple(path.read_text().splitlines())
    except (OSError, UnicodeDecodeError):
        return None
    return lines if lines and all(_LINE.fullmatch(line) for line in lines) else None


def _digest(full: Sequence[str], alone: Sequence[str], options: Sequence[str]) -> str:
    environment = installer.variables(os.environ)
    inputs = {
        "full": full,
        "alone": alone,
        "options": options,
        "platform": platform_tag(),
        "deciding": [environment.get(name) for name in _DECIDING],
        # With the automatic choice of a torch build, a login node and a GPU node that share a folder differ.
        "driver": Path("/proc/driver/nvidia/version").exists(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


def _dates(release: Release, named: Sequence[str]) -> list[str]:
    """The day that a release is resolved at; what the user names a version of may be newer."""
    if release.exclude_newer is None:
        return []
    exempt = [f"--exclude-newer-package={package}=2100-01-01" for package in (*release.exempt, *named)]
    return [f"--exclude-newer={release.exclude_newer.isoformat()}", *exempt]


def _compile(wanted: Sequence[str], options: Sequence[str]) -> list[str]:
    if not wanted:
        return []
    command = ["pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--no-emit-index-url"]
    backend = installer.backend_options(os.environ)
    output = installer.run([*command, *backend, *options], stdin="\n".join(wanted) + "\n")
    return [line for line in output.splitlines() if _LINE.fullmatch(line)]


def _force(wanted: Sequence[str], overrides: Mapping[str, str], plain: Lock) -> list[str]:
    """Resolve with these versions whatever others ask of them, and change of the `plain` lock only what has to."""
    with tempfile.TemporaryDirectory(prefix="lockstep-lock-") as folder:
        forced, lock = Path(folder) / "overrides.txt", Path(folder) / "lock.txt"
        forced.write_text("".join(f"{name}=={version}\n" for name, version in overrides.items()))
        lock.write_text("\n".join(plain) + "\n")  # what stands in the output file already is preferred
        _compile(wanted, ["--overrides", str(forced), "--output-file", str(lock)])
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
            lines = _compile([f"{package}{bound}{version}"], ["--no-deps", *options])
        except installer.InstallerError:
            continue
        found += [line.split("==")[1] for line in lines]
    return found


def _write(path: Path, lock: Lock) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, "\n".join(lock) + "\n")
