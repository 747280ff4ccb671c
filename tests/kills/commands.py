"""What is killed: `run`, `bisect`, `nightly` and `fuzz`, each with what is right once it has come to its end."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bisection import record as bisections
from harness.fuzzing import record as fuzzes
from harness.nightly import record as nights
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord

LOCKSTEP = str(Path(sys.executable).with_name("lockstep"))
OUT = "out"
NAMED = ("run", "bisect", "nightly", "fuzz", "torchrun", "--sandbox")
"""Words of a command that are told."""
TORCH = "torch==2.13.0"

CANARIES = f"""
[[canary]]
release = "{TORCH}"
scenario = "sft-equal"
cause = "none: that it is not found costs one quick cell, and exit status 3"
"""


@dataclass(frozen=True)
class Command:
    """A command of Lockstep that goes on where it was stopped when it is given again."""

    words: tuple[str, ...]
    status: int
    """Its exit status at its end."""
    wrong: Callable[[Path], list[str]]
    """What is not as it should be at its end, in the folder that it was started in."""

    @property
    def name(self) -> str:
        return " ".join(word for word in self.words if word in NAMED)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the processes that it has."""
        ranks = ("torchrun", "rank") if "torchrun" in self.words else ("template", "cell", "rank")
        return ("lockstep", "keeper", *ranks, *(("bwrap",) if "--sandbox" in self.words else ()))


def run(framework: str, *options: str) -> Command:
    scenarios = ("sft-equal", "sft-ragged", "sft-ragged-warmup")
    chosen = [word for name in scenarios for word in ("--scenario", name)]
    words = ("run", "--framework", framework, *chosen, "--out", OUT, "--resume", "--jobs", "2", *options)

    def wrong(folder: Path) -> list[str]:
        cells = verdict.read(folder / OUT).cells
        lost = [] if len(cells) == len(scenarios) else [f"{len(cells)} cells instead of {len(scenarios)}"]
        return [*lost, *_twice(cells), *_not_right(cells)]

    return Command(words, 0, wrong)


def bisect(*options: str) -> Command:
    words = (
        "bisect", TORCH, "--vary", "safetensors", "--from", "0.5.3", "--to", "0.7.0", "--scenario", "sft-equal",
        "--out", OUT, *options,
    )  # fmt: skip
    return Command(words, 0, _wrong_bisection)


def _wrong_bisection(folder: Path) -> list[str]:
    """A cell whose rank was killed is unknown for a day: that is its right verdict."""
    try:
        told = bisections.read(folder / OUT)
    except bisections.UnreadableBisection as error:
        return [str(error)]
    labels = Counter(point.label for point in (*told.measured, *told.inferred, *told.uninstallable))
    lost = [label for label in told.order if label not in labels]
    twice = [label for label, number in labels.items() if number > 1]
    other = [f"{p.label}: {p.verdict} ({p.reason})" for p in told.measured if p.verdict not in ("pass", "unknown")]
    other += [f"{p.label}: {p.reason}" for p in told.uninstallable]
    return [*lost, *twice, *other, *([] if told.complete else ["it is not complete"])]


def nightly(*options: str) -> Command:
    words = (
        "nightly", "--only", TORCH, "--scenario", "sft-ragged", "--canaries", "canaries.toml", "--dir", OUT, *options,
    )  # fmt: skip
    return Command(words, 3, _wrong_night)


def _wrong_night(folder: Path) -> list[str]:
    """A night that came to its end with an unknown cell stays so, and the next one is right."""
    held = nights.nights(folder / OUT)
    unfinished = [f"{night.name} is not finished" for night in held if not night.finished]
    folders = [folder / OUT / nights.NIGHTS / night.name for night in held]
    each = [verdict.read(path.parent).cells for place in folders for path in place.glob(f"**/{verdict.FILE}")]
    twice = [said for cells in each for said in _twice(cells)]
    last = [cell for path in folders[-1].glob(f"**/{verdict.FILE}") for cell in verdict.read(path.parent).cells]
    lost = [] if len(last) >= 2 else [f"{len(last)} cells in the last night"]
    return [*unfinished, *twice, *lost, *_not_right(last)]


def fuzz(*options: str) -> Command:
    words = ("fuzz", "--framework", TORCH, "--fault", "keep-last", "--minutes", "0.3", "--out", OUT, *options)
    return Command(words, 1, _wrong_fuzz)


def _wrong_fuzz(folder: Path) -> list[str]:
    """What was found is there once, with its file, and so is all that was run."""
    found = fuzzes.read(folder / OUT)
    files = Counter(cause.file for cause in found.causes)
    missing = [f"{name} is missing" for name in files if not (folder / OUT / name).is_file()]
    twice = [f"{name} is there {n} times" for name, n in files.items() if n > 1]
    planted = any(cause.cause == "dropped-micro-batches" for cause in found.causes)
    lines = sum(1 for _ in fuzzes.tried(folder / OUT))
    lost = [] if lines + len(found.causes) >= found.cells else [f"{lines} lines for {found.cells} cells"]
    unfinished = [] if found.complete else ["it is not complete"]
    return [*missing, *twice, *lost, *unfinished, *([] if planted else ["what was planted is not found"])]


def _twice(cells: Sequence[CellRecord]) -> list[str]:
    return [f"{name} is there {n} times" for name, n in Counter(cell.name for cell in cells).items() if n > 1]


def _not_right(cells: Iterable[CellRecord]) -> list[str]:
    return [f"{cell.name}: {cell.verdict} ({cell.reason})" for cell in cells if cell.verdict != "pass"]


def recorded(folder: Path) -> dict[tuple[str, str], CellRecord]:
    """Every cell that has come to a verdict so far, by its file and name. Raises UnreadableVerdict."""
    return {
        (str(path.relative_to(folder)), cell.name): cell
        for path in sorted((folder / OUT).glob(f"**/{verdict.FILE}"))
        for cell in verdict.read(path.parent).cells
        if cell.verdict not in ("unknown", "unsupported")
    }


KINDS: tuple[Command, ...] = (
    run("torch"),
    run("ddp"),
    run("torch", "--launcher", "torchrun"),
    run("torch", "--sandbox"),
    run("torch", "--launcher", "torchrun", "--sandbox"),
    bisect(),
    nightly(),
    fuzz(),
)
