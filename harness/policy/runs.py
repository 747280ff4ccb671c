"""The trainings of an experiment: which there are, and each one's file, so that none is made twice."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from harness import documents
from harness.policy import corrections, decoding, measures, mismatches, task, training
from harness.policy.corrections import CORRECTIONS, NONE
from harness.policy.mismatches import EXACT, KINDS, Mismatch
from harness.policy.record import MAX_BYTES, RunRecord
from harness.policy.training import Run, Size
from harness.trial import model

FULL = Size(warm=20, steps=150, prompts=8, judged=512)
QUICK = Size(warm=20, steps=60, prompts=8, judged=256)
FOLDER = "runs"


class Unmade(Exception):
    """There is no such training; one line."""


def every(size: Size, seeds: Iterable[int], quick: bool) -> tuple[Run, ...]:
    """Seed by seed: exact rollouts, then each mismatch with each correction; quick: of each kind the largest alone."""
    arms = [(EXACT, NONE), *((one, correction) for one in chosen(quick) for correction in CORRECTIONS)]
    return tuple(Run(mismatch, correction, seed, size) for seed in seeds for mismatch, correction in arms)


def chosen(quick: bool) -> Iterator[Mismatch]:
    for name, kind in KINDS.items():
        for size in kind.sizes[-1:] if quick else kind.sizes:
            yield Mismatch(name, size)


def path(folder: Path, run: Run) -> Path:
    """Of its file. Its name holds all that decides what is in it, the sources too."""
    said = f"{run} {_sources()}"
    name = "-".join([run.mismatch.label, run.correction, str(run.seed)]).replace(" ", "-")
    return folder / FOLDER / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.json"


def made(folder: Path, runs: Sequence[Run]) -> Mapping[Run, RunRecord]:
    """Those that there are already."""
    found = {}
    for run in runs:
        try:
            found[run] = documents.read(RunRecord, path(folder, run), MAX_BYTES, Unmade, "it is made again")
        except Unmade:
            continue
    return found


@cache
def _sources() -> str:
    found = hashlib.sha256()
    for module in (corrections, decoding, measures, mismatches, model, task, training):
        found.update(inspect.getsource(module).encode())
    return found.hexdigest()
