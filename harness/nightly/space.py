"""Keeping the disk: old nights and the environments that only they used are removed, by age and by size."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.environments import store
from harness.nightly import record
from harness.nightly.record import Night
from harness.nightly.tickets import Ticket

DAY = 86400.0
DIGITS = 12
"""Of a lock's hash, in the name of an environment's folder."""
KEPT_OF_A_NIGHT = (record.FILE, record.PAGE)


@dataclass(frozen=True)
class Limits:
    days: float
    bytes: float


@dataclass(frozen=True)
class Item:
    """Something on disk that could be removed."""

    kind: Literal["night", "environment"]
    name: str
    used: float
    """When it was last used, in seconds since the epoch."""
    size: int
    """Bytes, without the files that a later used one holds as well."""
    held: bool
    """Whether it stays whatever its age and size."""


def outdated(items: Iterable[Item], limits: Limits, now: float) -> list[Item]:
    """What is to be removed, so that the rest is young and small enough: the longest unused goes first.

    What is held counts, and stays.
    """
    loose = sorted((item for item in items if not item.held), key=lambda item: (-item.used, item.name))
    total = sum(item.size for item in items if item.held)
    for place, item in enumerate(loose):
        total += item.size
        if now - item.used > limits.days * DAY or total > limits.bytes:
            return loose[place:]
    return []


def items(home: Path, envs: Path, nights: Sequence[Night], tickets: Collection[Ticket], tonight: str) -> list[Item]:
    """What the nights have on disk: their own folders, and the environments that a night has used.

    `tonight`: the name of the night that is held whatever its age, which by its name need not be the last one.
    """
    live = [ticket for ticket in tickets if ticket.state != "closed"]
    held = {tonight, *(n for ticket in live for n in (ticket.opened, ticket.seen))}
    kept = {digest[:DIGITS] for night in nights if night.name in held for digest in night.environments}
    owned = {digest[:DIGITS] for night in nights for digest in night.environments}
    places = [_night(folder, held) for folder in _folders(home / record.NIGHTS) if _has_more(folder)]
    places += [_environment(folder, kept) for folder in _folders(envs) if _digest(folder) in owned]
    return _measured(places)


@dataclass(frozen=True)
class _Place:
    item: Item
    folder: Path


def _digest(folder: Path) -> str:
    return "" if folder.name.startswith(".") else folder.name.rpartition("-")[2]


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []


def _has_more(night: Path) -> bool:
    return any(path.name not in KEPT_OF_A_NIGHT for path in night.iterdir())


def _night(folder: Path, held: Collection[str]) -> _Place:
    return _Place(Item("night", folder.name, folder.stat().st_mtime, 0, folder.name in held), folder)


def _environment(folder: Path, kept: Collection[str]) -> _Place:
    return _Place(Item("environment", folder.name, store.last_used(folder), 0, _digest(folder) in kept), folder)


def _measured(places: Iterable[_Place]) -> list[Item]:
    """With their sizes. Environments share most files by hard links: each counts where it is used last."""
    counted: set[tuple[int, int]] = set()
    ordered = sorted(places, key=lambda p: (not p.item.held, -p.item.used, p.item.name))
    return [replace(place.item, size=_size(place.folder, counted)) for place in ordered]


def _size(folder: Path, counted: set[tuple[int, int]]) -> int:
    """Bytes on disk of the files that were not counted before."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                status = Path(parent, file).lstat()
                if (key := (status.st_dev, status.st_ino)) not in counted:
                    counted.add(key)
                    total += status.st_blocks * 512
    return total


def remove(found: Iterable[Item], home: Path, envs: Path) -> list[Item]:
    """Remove them; what a night was, and what it found, stays. Returns what was removed: not what somebody uses."""
    found = list(found)
    names = [item.name for item in found if item.kind == "environment"]
    removed = _pruned(envs, names)
    for item in found:
        if item.kind == "night":
            _empty(home / record.NIGHTS / item.name)
            removed.add(item.name)
    return [item for item in found if item.name in removed]


def _pruned(envs: Path, names: Iterable[str]) -> set[str]:
    """What was removed of environments, some of which somebody else may have removed meanwhile."""
    there = [name for name in names if (envs / name).is_dir()]
    # One that goes in this very moment: the next night removes the others.
    with contextlib.suppress(KeyError):
        return {each.name for each in store.prune(envs, there).removed} if there else set()
    return set()


def _empty(night: Path) -> None:
    for path in night.iterdir():
        if path.name in KEPT_OF_A_NIGHT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if not any(night.iterdir()):
        night.rmdir()
