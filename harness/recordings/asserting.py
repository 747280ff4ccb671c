"""Recordings in a test: what is asked of them, and the message of a test that fails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import get_args

from harness.intent import file
from harness.intent.file import BadIntent
from harness.intent.intent import Aggregation, Intent, Mean
from harness.intent.objective import Level
from harness.recordings import held, reader, telling, wanted, weighing
from harness.recordings.reader import Recording
from harness.recordings.telling import Told
from harness.recordings.weighing import Tokens, Unweighable
from harness.traces.text_files import UnreadableTrace
from harness.verdicts.findings import Finding

ERRORS = (UnreadableTrace, BadIntent)
"""What the questions below raise, with a message in one line."""
MOST = 10
"""Lines of a kind that a message has."""


def told(folder: Path) -> Told:
    """What the steps of a recording did. Raises UnreadableTrace."""
    return telling.tell(_read(folder))


def weights(folder: Path) -> Mapping[int, Tokens]:
    """The tokens of every step that can be weighed. Raises UnreadableTrace."""
    recording, found = _read(folder), {}
    for number in recording.steps:
        try:
            found[number] = weighing.weigh(recording, number).tokens
        except Unweighable:
            continue
    return found


def against(folder: Path, intent: Intent | Aggregation | str | PathLike[str]) -> Told:
    """What the steps did, and what in it is not wanted. Raises UnreadableTrace and BadIntent."""
    recording, chosen = _read(folder), _intent(intent)
    if isinstance(chosen, Intent):
        if (why := held.misfit(chosen, recording)) is not None:
            raise BadIntent(why)
        return telling.tell(recording, chosen)
    return wanted.by_aggregation(recording, chosen)


def _read(folder: Path) -> Recording:
    if not reader.is_recording(folder):
        raise UnreadableTrace(
            "nothing was recorded: while it was watched, no optimizer step was made of the model in training mode, or"
            " the recording ended before its first one; the reason stands on stderr then"
        )
    return reader.read(folder)


def _intent(given: Intent | Aggregation | str | PathLike[str]) -> Intent | Aggregation:
    """Raises BadIntent."""
    levels: tuple[Level, ...] = get_args(Level)
    level = next((level for level in levels if level == given), None)
    if level is not None:
        return Mean(level)
    if not isinstance(given, (str, PathLike)):
        return given
    path = Path(given)
    if not path.exists():
        raise BadIntent(f"{path} is no file with an intent, and no aggregation such as {', '.join(levels)}")
    return file.read(path)


def failure(told: Told, folder: Path, allow_unknown: str | None) -> str | None:
    """The message of a test that fails; None if it passes."""
    kept = [sentence for sentence in told.unknown if allow_unknown is None or not re.search(allow_unknown, sentence)]
    told = replace(told, unknown=tuple(kept))
    if not told.findings and not told.unknown:
        return None
    what = "the training is not right" if told.findings else "it is not known whether the training is right"
    lines = [f"lockstep: {what}", *_some(_by_step(told.findings))]
    lines += _some([f"unknown  {sentence}" for sentence in told.unknown])
    if told.sentences:
        lines += ["what its steps did:", *_some(list(told.sentences))]
    return "\n".join([*lines, f"all of it: lockstep judge {folder}"])


def _by_step(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding, or one for all steps that it is the same in."""
    found: dict[tuple[str, str], list[int]] = {}
    for finding in findings:
        message = finding.message.removeprefix(f"step {finding.step}: ").replace(f" at step {finding.step}", "", 1)
        found.setdefault((finding.code, message), []).extend([] if message == finding.message else [finding.step or 0])
    return [f"{code}  {_steps(steps)}{message}" for (code, message), steps in found.items()]


def _steps(steps: Sequence[int]) -> str:
    return f"step{'s' * (len(steps) > 1)} {', '.join(map(str, steps))}: " if steps else ""


def _some(lines: list[str]) -> list[str]:
    more = [f"  and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return [*(f"  {line}" for line in lines[:MOST]), *more]
