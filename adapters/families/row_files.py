"""Rows as the files that frameworks read: JSON lines, one file for each of a scenario's datasets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.contract import Scenario


def write(rows: Sequence[Any], scenario: Scenario, folder: Path) -> list[Path]:
    """One for each dataset, in that folder, which is made. rows: of all datasets, as JSON types."""
    return [
        write_one([rows[i] for i in part], folder / f"rows-{number}.jsonl")
        for number, part in enumerate(scenario.data.datasets)
    ]


def write_one(rows: Sequence[Any], file: Path) -> Path:
    """That file, in a folder which is made. rows: as JSON types."""
    file.parent.mkdir(exist_ok=True)  # where a run goes on, it is there
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
