"""Rows as the files that frameworks read: JSON lines, one file for each of a scenario's datasets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.contract import Scenario


def write(rows: Sequence[Any], scenario: Scenario, folder: Path) -> list[Path]:
    """One for each dataset, in that folder, which is made. rows: of all datasets, as JSON types."""
    folder.mkdir(exist_ok=True)  # where a run goes on, it is there
    files = []
    for number, part in enumerate(scenario.data.datasets):
        files.append(folder / f"rows-{number}.jsonl")
        files[-1].write_text("".join(json.dumps(rows[i]) + "\n" for i in part))
    return files
