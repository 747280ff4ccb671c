"""Unified diffs, read and applied by git, which needs no repository for that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Sequence
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from packaging.utils import canonicalize_name

from harness import temporary

STRIPS = (1, 0, 2, 3)
"""Leading folders that names in a diff may have before the package: `a/`, none, `a/src/`."""


MODES = frozenset({"100644", "100755"})
"""What a diff may make or change: ordinary files. No symbolic link (120000), no other repository (160000)."""


class BadDiff(Exception):
    """A diff cannot be read or applied; the message is one line."""


class _Touched(NamedTuple):
    strip: int
    names: tuple[str, ...]
    """Of files, without those leading folders."""


def read(content: bytes) -> tuple[str, ...]:
    """The files that a diff names. Raises BadDiff."""
    return _readings(content)[0].names


def apply(content: bytes, site: Path, packages: Collection[str]) -> None:
    """Change the installed files of these packages in the folder `site` by a diff: all of it or nothing.

    git puts a new file in the place of one that it changes, so that hard links to the old one keep their content: uv's
    cache and other environments have such links. Raises BadDiff if the diff touches anything else, does not apply, or
    changes nothing.
    """
    ours = _modules(site, packages)
    readings = _readings(content)
    fitting = [r for r in readings if all(PurePosixPath(name).parts[0] in ours for name in r.names)]
    if not fitting:
        other = next(name for name in readings[0].names if PurePosixPath(name).parts[0] not in ours)
        raise BadDiff(f"it touches {other}, which is no file of {' or '.join(sorted(packages))}; leave that out of it")
    strip, names = fitting[0]
    if link := next((name for name in names if _is_linked(site, name)), None):
        raise BadDiff(f"{link} is, or lies behind, a symbolic link, which no diff changes")
    before = [_content(site / name) for name in names]
    _git([f"-p{strip}", "-"], content, site)
    if [_content(site / name) for name in names] == before:
        raise BadDiff("it changes nothing in the installed files")


def _readings(content: bytes) -> list[_Touched]:
    """What the diff touches, by each number of leading folders that its names can do without; at least one."""
    # git tells of a renamed file by its new name alone
    # (the message of a commit, which may stand before the diff, may say such words)
    if re.search(rb"^(rename|copy) (from|to) ", content[max(0, content.find(b"diff --git ")) :], re.MULTILINE):
        raise BadDiff("it renames or copies files; make it with `git diff --no-renames`")
    found: list[_Touched] = []
    refused: list[BadDiff] = []
    with temporary.folder("diff") as folder:
        for strip in STRIPS:
            try:
                said = _git(["--numstat", "--summary", "-z", f"-p{strip}", "-"], content, folder)
            except BadDiff as error:
                refused.append(error)
                continue
            *counts, summary = said.split("\0")
            _check_kinds(counts, summary)
            names = tuple(line.split("\t", 2)[2] for line in counts)
            if names and all(PurePosixPath(name).parts for name in names):
                found.append(_Touched(strip, names))
    if not found:
        raise refused[0] if refused else BadDiff("it names no file")
    return found


def _check_kinds(counts: Sequence[str], summary: str) -> None:
    """As git itself has understood the diff. Raises BadDiff for what is no text, or makes other than ordinary files."""
    if binary := next((line.split("\t", 2)[2] for line in counts if line.startswith("-\t-\t")), None):
        raise BadDiff(f"it changes {binary} as a binary file; only text can be patched")
    modes = re.findall(r"^ (?:create|delete) mode (\d+) |^ mode change (\d+) => (\d+) ", summary, re.MULTILINE)
    if odd := {mode for found in modes for mode in found if mode} - MODES:
        raise BadDiff(
            f"it makes or changes a file of mode {min(odd)}, as links and submodules have; only ordinary files can be"
            " patched"
        )


def _is_linked(site: Path, name: str) -> bool:
    path = PurePosixPath(name)
    return any((site / part).is_symlink() for part in (path, *path.parents[:-1]))


def _git(arguments: list[str], content: bytes, folder: Path) -> str:
    """`git apply` as if no repository and no settings of the user's were there.

    Within a repository, of which the folder of environments may be a part, it skips files that are not in the folder
    it runs in, and says nothing.
    """
    git = shutil.which("git")
    if git is None:
        raise BadDiff("git is not on PATH; install it, or give a Python file with apply()")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "LC_ALL": "C",
        "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    command = [git, "apply", *arguments]
    ended = subprocess.run(
        command, check=False, input=content, cwd=folder.resolve(), env=environment, capture_output=True
    )
    if ended.returncode != 0:
        lines = [line for line in ended.stderr.decode(errors="replace").splitlines() if line.startswith("error: ")]
        raise BadDiff(lines[-1].removeprefix("error: ") if lines else f"git apply exits with {ended.returncode}")
    return ended.stdout.decode(errors="replace")


def _modules(site: Path, packages: Collection[str]) -> set[str]:
    """The folders, and files beside them, that these packages have installed."""
    found: set[str] = set()
    for package in distributions(path=[str(site)]):
        if canonicalize_name(package.name) in packages:
            found |= {file.parts[0] for file in package.files or () if file.suffix == ".py"}
    return found - {".."}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
