"""The folder of environments: what is in it, how large it is, and removing what is not needed any more."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harness.environments import claims, days, hashes, resolution
from harness.environments.environment import Record, read_record

BUILDING = ".building-"
REMOVING = ".removing-"
USED = ".used"
VARIABLE = "LOCKSTEP_ENVS"

_OTHERS = (claims.FOLDER, resolution.FOLDER, days.FOLDER, hashes.FOLDER)
"""Folders that are no environments."""


@dataclass(frozen=True)
class Stored:
    """One environment on disk."""

    name: str
    folder: Path
    whole: bool
    """False: its build did not finish, or its interpreter is gone; the next use builds it anew."""
    size: int
    """Bytes of all its files."""
    frees: int
    """Bytes that removing it gives back: the rest is shared, by hard links, with uv's cache and other environments."""
    used: float
    """When it was last used, in seconds since the epoch."""


@dataclass(frozen=True)
class Pruned:
    """What `prune` did."""

    removed: tuple[Stored, ...]
    busy: tuple[str, ...]
    """Environments left alone because a run uses them."""


def default_root() -> Path:
    """Where environments are kept: `$LOCKSTEP_ENVS`, or `.envs` in the current folder."""
    return Path(os.environ.get(VARIABLE) or ".envs")


def use_claim(name: str) -> str:
    return f"{name}.use"


def build_claim(name: str) -> str:
    return f"{name}.build"


def building_folder(root: Path, name: str) -> Path:
    """A new place to build the environment in, beside where it will stand."""
    return root / f"{BUILDING}{name}~{secrets.token_hex(4)}"


def take(root: Path, name: str) -> Record | None:
    """Lease an environment for the life of this process and mark it used; None if it is not there whole."""
    folder = root / name
    if read_record(folder) is None:
        return None
    try:
        claims.lease(root, use_claim(name))
        (folder / USED).touch()
    except FileNotFoundError:
        return None  # removed since; the claim is free for who builds it again
    except OSError:
        pass  # a read-only folder of environments, as one shared on a cluster may be, is still good to run from
    return read_record(folder)


def sweep(root: Path, held: str | None = None) -> None:
    """Remove what builds and removals of processes that died have left behind.

    `held`: the environment whose build claim the caller has, and has not begun to build.
    """
    for folder in sorted([*root.glob(f"{BUILDING}*"), *root.glob(f"{REMOVING}*")]):
        name = folder.name.removeprefix(BUILDING).removeprefix(REMOVING).rpartition("~")[0]
        if name == held:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            with claims.exclusive(root, build_claim(name)):
                shutil.rmtree(folder, ignore_errors=True)
        except claims.Busy:
            continue


def stored(root: Path) -> list[Stored]:
    """Every environment in `root`, last used first; unfinished ones too."""
    if not root.is_dir():
        return []
    folders = [f for f in root.iterdir() if f.is_dir() and f.name not in _OTHERS]
    return sorted((_stored(f) for f in folders), key=lambda s: (-s.used, s.name))


def prune(root: Path, names: Collection[str] = (), older_than_days: float | None = None) -> Pruned:
    """Remove environments by exact name, or those not used for so many days, or all if neither is given.

    Environments in use are left alone. Raises KeyError with the first name that is not there.
    """
    sweep(root)
    present = [s for s in stored(root) if not s.name.startswith((BUILDING, REMOVING))]
    if unknown := sorted(set(names) - {s.name for s in present}):
        raise KeyError(unknown[0])
    before = time.time() - (older_than_days or 0) * 86400
    chosen = [s for s in present if (not names or s.name in names) and (older_than_days is None or s.used < before)]
    removed = {s.name for s in chosen if _remove(root, s.name)}
    if not names and older_than_days is None and len(removed) == len(present):
        for folder in (resolution.FOLDER, days.FOLDER):
            shutil.rmtree(root / folder, ignore_errors=True)
    return Pruned(
        removed=tuple(s for s in chosen if s.name in removed),
        busy=tuple(s.name for s in chosen if s.name not in removed),
    )


def _remove(root: Path, name: str) -> bool:
    try:
        with claims.exclusive(root, build_claim(name)), claims.exclusive(root, use_claim(name)):
            # Out of the way in one step: a removal that is interrupted must not leave half an environment.
            away = root / f"{REMOVING}{name}~{secrets.token_hex(4)}"
            (root / name).rename(away)
            shutil.rmtree(away, ignore_errors=True)
    except claims.Busy:
        return False
    return True


def _stored(folder: Path) -> Stored:
    size = frees = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                status = os.lstat(os.path.join(parent, file))  # noqa: PTH118  # tens of thousands of files
            except OSError:
                continue
            size += status.st_size
            frees += status.st_size if status.st_nlink == 1 else 0
    return Stored(
        name=folder.name,
        folder=folder,
        whole=not folder.name.startswith((BUILDING, REMOVING)) and read_record(folder) is not None,
        size=size,
        frees=frees,
        used=last_used(folder),
    )


def last_used(folder: Path) -> float:
    """When an environment was last used, in seconds since the epoch; 0 if it is not there."""
    for mark in (folder / USED, folder):
        try:
            return mark.stat().st_mtime
        except OSError:
            continue
    return 0.0
