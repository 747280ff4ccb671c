"""A cause that a fuzz has found in Markdown, to paste into an issue of the framework."""

from __future__ import annotations

import json
from typing import Any

from harness import printable
from harness.fuzzing.record import CauseRecord, Fuzz
from reports.markdown import code, escaped, fenced

METHOD = (
    "Measured from outside, by recovering the weight of every token in every optimizer step from the optimizer's state"
    " and a float64 oracle."
)


def issue(cause: CauseRecord, fuzz: Fuzz) -> str:
    """What is wrong, in which release, on which scenario, and the commands that show it and find out since when."""
    parts = [
        f"## {escaped(f'{fuzz.framework}: {cause.kind}')}",
        escaped(f"{cause.summary}."),
        f"> {escaped(cause.evidence)}" if cause.evidence else "",
        "The smallest scenario that shows it, beside one rank, one micro-batch, one step, and defaults:",
        settings(cause.settings),
        METHOD,
        "" if cause.steady else "It did not show when the same scenario was run once more.",
        f"Accepted: {escaped(cause.accepted, linked=True)}" if cause.accepted else "",
        f"Upstream: {escaped(cause.upstream, linked=True)}" if cause.upstream else "",
        f"Remedy: {escaped(cause.remedy, linked=True)}" if cause.remedy else "",
        "To reproduce it, and to find out since which release it is so, with Lockstep:",
        fenced("\n".join(map(printable.line, (cause.command, cause.bisect))), "sh"),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def settings(told: dict[str, Any]) -> str:
    """A list of fields and values."""
    lines = [f"- {code(printable.line(f'{path} = {json.dumps(value)}'))}" for path, value in told.items()]
    return "\n".join(lines or ["- nothing: the plainest scenario that there is shows it"])
