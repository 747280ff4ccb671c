"""`lockstep compare`: traces against each other, without any framework and without the oracle."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.output import console
from harness.commands.stop import UNKNOWN, Stop

if TYPE_CHECKING:
    from rich.console import Console

    from harness.across.compare import Comparison, Gap
    from harness.traces.reader import Trace

WORST_TENSORS = 5


def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="TRACE TRACE...", help="Folders of two traces or more.", show_default=False)
    ],
) -> None:
    """Compare traces. Two: inputs, gradients, parameters, and the step where they part. More: who agrees with whom.
    Two recordings of `lockstep record`: rows, what they weigh, the update rule, and the step where they part.

    Exit status: 0 the same within rounding, 1 different, 2 wrong usage, 3 something cannot be read or weighed.
    """
    if len(folders) < 2:
        raise Stop("one trace alone cannot be compared; give two or more (`lockstep compare --help`)")
    if _are_recordings(folders):
        from harness.commands.compare_recordings import show

        raise typer.Exit(show(folders[0], folders[1]))
    read = [_read(folder) for folder in folders]
    told = console()
    same = _two(read[0], read[1], told) if len(read) == 2 else _vote(read, told)
    raise typer.Exit(0 if same else 1)


def _are_recordings(folders: list[Path]) -> bool:
    """Whether these are two recordings. Raises Stop where some are."""
    from harness.recordings.reader import is_recording

    found = [folder for folder in folders if is_recording(folder)]
    if found and len(found) < len(folders):
        raise Stop(f"{found[0]} is a recording, and not all of the others are; a trace cannot be compared with one")
    if len(found) > 2:
        raise Stop("recordings are compared by two; give two")
    return bool(found)


def _vote(read: list[Trace], console: Console) -> bool:
    """Sort three traces or more into groups of one update, with no oracle asked: the most frameworks have the vote."""
    from harness.across.view import snapshots, view
    from harness.verdicts.verdict import CellRecord
    from reports import across

    if len({trace.scenario.hash for trace in read}) > 1:
        raise Stop("these traces are of different scenarios; compare two of them to see what differs")
    scenario = read[0].scenario
    cells = [
        CellRecord(
            framework=trace.header.framework,
            version=f"{trace.header.version} ({letter})",
            scenario=scenario.name,
            seed=scenario.seed,
            verdict="unknown",
        )
        for letter, trace in zip(_letters(len(read)), read, strict=True)
    ]
    for cell, trace in zip(cells, read, strict=True):
        console.print(f"{cell.framework} {cell.version}: {trace.folder}", soft_wrap=True)
    console.print()
    for trace in read:
        snapshots(trace)  # one that cannot be read is told, not left out
    found = view(scenario.name, scenario.seed, list(zip(cells, read, strict=True)))
    if found.left_out or found.reason:
        raise Stop(f"{found.reason or 'not all of these traces hold every optimizer step'}; leave those out", UNKNOWN)
    across.show([found], console)
    return len(found.groups) == 1 and len(found.inputs) == 1


def _letters(count: int) -> list[str]:
    """a, b, ... z, a2, b2, ...: smaller than the letters of groups."""
    from string import ascii_lowercase

    return [ascii_lowercase[i % 26] + (str(i // 26 + 1) if i >= 26 else "") for i in range(count)]


def _two(a: Trace, b: Trace, console: Console) -> bool:
    """Show two traces side by side; whether they are the same."""
    from harness.across import compare as arithmetic
    from harness.across.view import kept, snapshots

    _names(a, b, console)
    inputs = _inputs(a, b, console)
    precision = max((t.scenario.precision.compute for t in (a, b)), key=("fp32", "fp16", "bf16").index)  # the coarser
    beta1 = kept(a.scenario)
    if a.scenario.optimizer.kind != b.scenario.optimizer.kind:
        raise Stop("the scenarios have different optimizers, so their gradients cannot be recovered alike")
    if beta1 != kept(b.scenario):
        raise Stop("the scenarios have different beta1, so their gradients cannot be recovered alike")
    found = arithmetic.compare(snapshots(a), snapshots(b), beta1, arithmetic.TOLERANCES[precision])
    _table(found, console)
    same = found.same and inputs and a.steps == b.steps
    _words(found, same, console)
    return same


def _read(folder: Path) -> Trace:
    from harness.traces.reader import IncompleteTrace, read

    if not folder.is_dir():
        raise Stop(f"{folder} is no folder; give a trace's, such as .runs/RUN/cells/FRAMEWORK-VERSION/SCENARIO")
    try:
        return read(folder)
    except IncompleteTrace as error:  # which does not say of which trace
        raise Stop(f"{folder}: {error}", UNKNOWN) from None


# ---- what is compared


def _names(a: Trace, b: Trace, console: Console) -> None:
    for letter, trace in zip("AB", (a, b), strict=True):
        head = trace.header
        fault = f", with the planted fault {head.fault}" if head.fault else ""
        console.print(
            f"{letter}: {head.framework} {head.version} on {trace.scenario.name} (seed {trace.scenario.seed}),"
            f" {trace.steps} steps{fault}: {trace.folder}",
            soft_wrap=True,
        )
    if a.scenario.hash == b.scenario.hash:
        console.print("scenario: the same")
        return
    fields = [f.name for f in dataclasses.fields(a.scenario) if f.name != "name"]
    differing = [f for f in fields if getattr(a.scenario, f) != getattr(b.scenario, f)]
    told = [f if f in ("rows", "vocabulary") else f"{f} ({_values(a, b, f)})" for f in differing]
    console.print(f"scenario: differs in {', '.join(told)}")


def _values(a: Trace, b: Trace, field: str) -> str:
    return f"A {getattr(a.scenario, field)}, B {getattr(b.scenario, field)}"


def _inputs(a: Trace, b: Trace, console: Console) -> bool:
    """Whether the global batch of every step holds the same conversations, wherever they were put."""
    from harness.traces.batch import conversations

    moved = False
    for step in range(min(a.steps, b.steps)):
        x, y = (conversations(t.scenario, [m for m in t.batches if m.step == step]) for t in (a, b))
        if Counter((c.ids, c.marked or c.trained) for c in x) != Counter((c.ids, c.marked or c.trained) for c in y):
            console.print(f"inputs: the global batch of step {step} is not the same")
            return False
        moved |= {(c.place, c.ids) for c in x} != {(c.place, c.ids) for c in y}
    where = ", though not on the same ranks and micro-batches" if moved else ""
    console.print(f"inputs: the same in every step{where}")
    return True


# ---- how far apart


def _table(found: Comparison, console: Console) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for name in ("step", "gradient: distance", "cosine", "norm B / A", "parameters: distance", "of the way moved"):
        table.add_column(name, justify="right")
    for step in found.steps:
        table.add_row(str(step.step), *_gradient(step.gradient), f"{step.parameters.distance:.2e}", f"{step.drift:.2e}")
    console.print()
    console.print(table)
    console.print()


def _gradient(gap: Gap | None) -> tuple[str, str, str]:
    return ("-", "-", "-") if gap is None else (f"{gap.relative:.2e}", f"{gap.cosine:.8f}", f"{gap.ratio:.8f}")


def _words(found: Comparison, same: bool, console: Console) -> None:
    limit = found.tolerance
    allowed = f"allowed: {limit.gradient:g} of the gradient and {limit.drift:g} of the way moved ({limit.source})"
    if found.lonely:
        console.print(f"only in one of them, or of another shape: {', '.join(found.lonely)}")
    if found.ends_early:
        console.print(f"they are the same up to step {found.parted}, which only {_longer(found)} has")
    elif found.parted is not None:
        where = "before the first step" if found.parted < 0 else f"at step {found.parted}"
        console.print(f"they part {where}; the tensors that differ most there:")
        for tensor in _worst(found)[:WORST_TENSORS]:
            console.print(f"  {tensor}", soft_wrap=True)
    if same:
        identical = all(s.parameters.distance == 0.0 for s in found.steps) and found.start.distance == 0.0
        console.print("the same, bit by bit" if identical else "the same within rounding")
    else:
        console.print("different")
    console.print(allowed)


def _longer(found: Comparison) -> str:
    return "A" if found.lengths[0] > found.lengths[1] else "B"


def _worst(found: Comparison) -> list[str]:
    if found.parted is None or found.parted < 0:
        gap = found.start
    else:
        step = next(s for s in found.steps if s.step == found.parted)
        gap = step.gradient or step.parameters
    return [f"{t.name}: {t.relative:.2e} of its norm" for t in gap.tensors if t.distance > 0]
