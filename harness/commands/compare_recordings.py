"""Two recordings of users' own runs side by side, on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from harness.commands.output import console

if TYPE_CHECKING:
    from harness.recordings.comparing import Comparison
    from harness.recordings.reader import Recording

SAME, DIFFERENT, UNKNOWN = 0, 1, 3


def show(a: Path, b: Path) -> int:
    """Compare two recordings, and say how; the exit status. Raises UnreadableTrace."""
    from harness.recordings import comparing, reader

    read = [reader.read(folder) for folder in (a, b)]
    found = comparing.compare(*read)
    out = console(soft_wrap=True)
    for letter, folder, recording in zip("AB", (a, b), read, strict=True):
        out.print(Text(f"{letter}: {_named(recording)}: {folder}"))
    for line in _lines(found):
        out.print(Text(line))
    if found.unknown or not found.steps:
        return UNKNOWN
    return SAME if found.same else DIFFERENT


def _named(recording: Recording) -> str:
    head = recording.header
    size = f"{head.vocabulary} x {head.width} head"
    return f"{head.model}, {size}, {head.optimizer}, ranks: {head.ranks}, steps {', '.join(map(str, recording.steps))}"


def _lines(found: Comparison) -> list[str]:
    if not found.steps:
        return ["they have watched no step in common: nothing can be compared"]
    lines = [_inputs(found)]
    lines += [f"step {one.step}: {one.message}" for one in found.differences]
    lines += [f"unknown: {sentence}" for sentence in found.unknown]
    if found.parted is not None:
        lines.append(f"they part at step {found.parted}")
    if found.same and not found.unknown:
        near = f" within rounding (rows weigh alike to {found.farthest:.1g})" if found.farthest else ""
        lines.append(f"the same{near}")
    elif not found.same:
        lines.append("different")
    return lines


def _inputs(found: Comparison) -> str:
    if found.inputs is not None:
        return f"inputs: the global batch of step {found.inputs.step} is not the same: {found.inputs.message}"
    where = ", though not on the same ranks and micro-batches" if found.moved else ""
    return f"inputs: the same in every step that both have watched{where}"
