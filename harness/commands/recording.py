"""A recording of somebody's own run on the terminal: what its steps were, and configured against effective."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from harness.commands.output import console
from harness.commands.output import json as print_json

if TYPE_CHECKING:
    from adapters.contract import Scenario
    from harness.intent.intent import Intent
    from harness.recordings.effective import GroupRule
    from harness.recordings.facts import Fact
    from harness.recordings.reader import Recording
    from harness.recordings.telling import Told

DIVERGES, UNKNOWN = 1, 3


def show(folders: Sequence[Path], as_json: bool, asked: Intent | Scenario | None = None) -> int:
    """Tell of recordings, held against what is asked; the exit status: 3 if something is not known, else 1 if something
    is wrong, else 0.

    Raises UnreadableTrace, and BadIntent for an intent that cannot be of a recording.
    """
    from harness.recordings import reader, telling

    told = []
    for folder in folders:
        recording = reader.read(folder)
        told.append((folder, recording, telling.tell(recording, _fitting(asked, recording, folder))))
    if as_json:
        print_json(json.dumps([_data(*one) for one in told], indent=1))
    else:
        for one in told:
            _print(*one)
    if any(what.unknown for _, _, what in told):
        return UNKNOWN
    return DIVERGES if any(what.findings for _, _, what in told) else 0


def _fitting(asked: Intent | Scenario | None, recording: Recording, folder: Path) -> Intent | None:
    """The intent that a recording is held against. Raises BadIntent."""
    from adapters.contract import Scenario
    from harness.intent.file import BadIntent
    from harness.recordings import held

    if asked is None:
        return None
    intent = held.like(asked, recording) if isinstance(asked, Scenario) else asked
    if (why := held.misfit(intent, recording)) is not None:
        raise BadIntent(f"{folder}: {why}; give it the intent of its own run")
    return intent


def _data(folder: Path, recording: Recording, told: Told) -> dict[str, Any]:
    return {
        "recording": str(folder),
        "model": recording.header.model,
        "ranks": recording.header.ranks,
        "steps": list(recording.steps),
        "sentences": told.sentences,
        "findings": [dataclasses.asdict(finding) for finding in told.findings],
        "unknown": told.unknown,
        "open": told.open,
        "facts": [dataclasses.asdict(fact) for fact in told.facts],
        "groups": [dataclasses.asdict(group) for group in told.groups],
    }


def _print(folder: Path, recording: Recording, told: Told) -> None:
    out, head = console(soft_wrap=True), recording.header
    size = f"{head.vocabulary} x {head.width} head{', tied' if head.tied else ''}"
    out.print(Text.assemble((str(folder), "bold"), f"  {head.model}, {size}, {head.optimizer}, ranks: {head.ranks}"))
    for sentence in told.sentences:
        out.print(Text(f"  {sentence}"))
    for finding in told.findings:
        out.print(Text.assemble("  ", (finding.code, "red"), f"  {finding.message}"))
    for unknown in told.unknown:
        out.print(Text.assemble("  ", ("unknown", "yellow"), f"  {unknown}"))
    for question in told.open:
        out.print(Text.assemble("  ", ("open", "yellow"), f"  {question}"))
    if told.groups:
        out.print(_table(told.groups))
    if told.facts:
        out.print(_facts(told.facts))


def _table(groups: Sequence[GroupRule]) -> Table:
    """Configured against effective, by group and step."""
    table = Table("step", "group", "parameters", "learning rate: configured", "effective", "weight decay", "effective")
    for group in groups:
        numbers = (group.configured_rate, group.rate, group.configured_decay, group.decay)
        which = "?" if group.group is None else str(group.group)
        table.add_row(str(group.step), which, str(group.parameters), *map(_shown, numbers))
    return table


def _facts(facts: Sequence[Fact]) -> Table:
    """The same of the whole run."""
    table = Table("", "configured", "effective")
    for fact in facts:
        table.add_row(fact.what, _several(fact.configured, "-"), _several(fact.effective, "?"))
    return table


def _several(values: Sequence[float | str], none: str) -> str:
    shown = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(dict.fromkeys(shown)) or none


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
