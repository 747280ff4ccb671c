"""What adapters share that train preferences: the scenario's rows as pairs, and what none of them can express."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from adapters.contract import Job, Scenario


class Pair(NamedTuple):
    """Two answers to the same messages."""

    prompt: list[dict[str, str]]
    chosen: str
    rejected: str


def pairs(job: Job) -> list[Pair]:
    """Of the checkpoint's rows, in their order."""
    lines = (Path(job.checkpoint) / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line)["messages"] for line in lines]
    return [
        Pair(chosen[:-1], chosen[-1]["content"], rejected[-1]["content"])
        for chosen, rejected in zip(rows[::2], rows[1::2], strict=True)
    ]


def per_device(scenario: Scenario) -> int:
    """Pairs of a micro-batch, which is what frameworks count."""
    return scenario.window.micro_batch_size // 2


def unsupported(scenario: Scenario, framework: str) -> str | None:
    """Why rows are no pairs of answers; `framework` names who asks for the message."""
    rows = scenario.data.rows
    if any(chosen[:-1] != rejected[:-1] for chosen, rejected in zip(rows[::2], rows[1::2], strict=True)):
        return f"{framework} has two answers to one prompt, so it has no data.rows whose prompts differ within a pair"
    if any(message.role == "assistant" for row in rows for message in row[:-1]):
        return f"{framework} trains the last answer of a preference, so it has no data.rows of several answers"
    return None
