"""Processes, by /proc."""

from __future__ import annotations

from pathlib import Path


def children(process: int) -> list[int]:
    """Process ids of the children of a process's threads; empty once it is gone."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def descendants(process: int) -> list[int]:
    """Children, and theirs."""
    found = children(process)
    return [*found, *(other for child in found for other in descendants(child))]
