"""`python -m harness.policy.work DIR`: the trainings named on stdin as JSON, one after the other, on one core."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from pydantic import TypeAdapter

from harness import documents
from harness.policy.runs import path
from harness.policy.training import Run, train

RUNS = TypeAdapter(tuple[Run, ...])


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for run in RUNS.validate_json(sys.stdin.buffer.read()):
        documents.write(train(run), path(folder, run))


if __name__ == "__main__":
    main()
