"""Hashes of the files that packages are installed from, recorded when a release is first seen.

A package index may one day serve another file under the same name and version. What is recorded here holds for every
environment of a folder, from then on: `uv` installs nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from harness import files
from harness.environments import installer, pins

FOLDER = "hashes"
MAX_BYTES = 1 << 20
"""Of the hashes of one release, which are a hundred bytes for each of its files."""


def known(lines: Iterable[str], root: Path, origin: str) -> dict[str, tuple[str, ...]]:
    """By line of a lock, the hashes that its files may have; what is not recorded yet is asked for, and recorded.

    `origin` tells apart what may differ: machines and places that packages come from. A revision is missing, whose
    commit is its hash, and so is what nobody tells a hash of. Raises InstallerError, and OSError if `root` cannot be
    written.
    """
    places = {line: place(line, root, origin) for line in lines if pins.version(line) is not None}
    found = {line: recorded for line, path in places.items() if (recorded := _read(path))}
    told = _ask([line for line in places if line not in found])
    for line, hashes in told.items():
        places[line].parent.mkdir(parents=True, exist_ok=True)
        files.replace(places[line], "\n".join(hashes) + "\n")
    return found | told


def place(line: str, root: Path, origin: str) -> Path:
    """The file that records the hashes of a release."""
    return root / FOLDER / origin / f"{pins.name(line)}-{pins.version(line)}.txt"


def text(lines: Iterable[str], hashes: Mapping[str, Sequence[str]]) -> str:
    """Requirements as `uv` reads them, each with the hashes that its file may have."""
    return "".join(" ".join([line, *(f"--hash={each}" for each in hashes.get(line, ()))]) + "\n" for line in lines)


def _read(path: Path) -> tuple[str, ...]:
    """Nothing where there is none, or it is damaged."""
    try:
        found = tuple(files.read(path, MAX_BYTES).decode().splitlines())
    except (OSError, UnicodeDecodeError, files.TooLarge):
        return ()
    return found if all(map(pins.HASH.fullmatch, found)) else ()


def _ask(lines: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What the package index tells, and of a local wheel, of which `uv` tells none, what it is. Raises as `known`."""
    if not lines:
        return {}
    command = ["pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-deps"]
    output = installer.run(
        [*command, "--generate-hashes", *installer.backend_options(os.environ)], stdin="\n".join(lines) + "\n"
    )
    told = {pins.name(line): (line, hashes) for line, hashes in pins.lines(output).values()}
    chosen = ((line, *told.get(pins.name(line), (line, ()))) for line in lines)
    found = {line: hashes or _of_wheels(exact) for line, exact, hashes in chosen}
    return {line: tuple(sorted(hashes)) for line, hashes in found.items() if hashes}


def _of_wheels(line: str) -> tuple[str, ...]:
    """Hashes of a release's files in the local folders of wheels."""
    wanted = Requirement(line)
    return tuple(f"sha256:{_sha256(file)}" for file in _local() if _is_of(_release(file.name), wanted))


def _is_of(release: tuple[str, Version] | None, wanted: Requirement) -> bool:
    """Version 2.13.0+cpu is one of ==2.13.0."""
    return (
        release is not None
        and release[0] == canonicalize_name(wanted.name)
        and wanted.specifier.contains(release[1], prereleases=True)
    )


def _local() -> Iterator[Path]:
    """All files of the folders that `UV_FIND_LINKS` names; an address is none."""
    named = installer.variables(os.environ).get("UV_FIND_LINKS", "")
    for folder in dict.fromkeys([named, *re.split(r"[,\s]+", named)]):
        path = Path(folder.removeprefix("file://"))
        if folder and path.is_dir():
            yield from (file for file in sorted(path.iterdir()) if file.is_file())


def _release(name: str) -> tuple[str, Version] | None:
    """The package and version of a file of an index; None for any other file."""
    try:
        if name.endswith(".whl"):
            return parse_wheel_filename(name)[:2]
        package, version = parse_sdist_filename(name)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return canonicalize_name(package), version


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
