"""`lockstep judge`: recorded traces judged again, without any framework."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.output import console, json
from harness.commands.stop import UNKNOWN, Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.contract import Scenario
    from harness.intent.intent import Intent
    from harness.judging.judge import Judgement
    from harness.oracle.basis_cache import BasisCache
    from harness.verdicts.verdict import CellRecord


def judge(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...", help="Folders of runs, of single traces, or of recordings.", show_default=False
        ),
    ],
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Keep what is found now in the runs' folders, for reports of a run that an older Lockstep made.",
        ),
    ] = False,
    intent: Annotated[
        Path | None,
        typer.Option(
            help="Hold the traces against this intent, a JSON file: what their steps should have been.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="SCENARIO", help="Hold them against what this scenario of the catalogue wants.", show_default=False
        ),
    ] = None,
    describe: Annotated[
        bool,
        typer.Option(
            "--describe", help="Forget what was wanted: say what the steps were, and find what no objective does."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON on stdout, and nothing else.")] = (
        False
    ),
) -> None:
    """Judge recorded traces again, by this release's checks. Nothing is written, unless --write is given.

    Steps are held against what the trace says that they should have been, or else its scenario; by --intent, --like
    and --describe against something else.

    Exit status: 0 all pass, 1 a divergence was found, 2 wrong usage, 3 something could not be judged.
    """
    from harness.oracle.basis_cache import BasisCache
    from harness.verdicts import verdict
    from harness.version import own_version

    if recordings := _recordings(folders):
        if write:
            raise Stop("a recording keeps no verdict; leave out --write")
        if describe and (intent or like):
            raise Stop("--describe asks for no intent; leave out --intent and --like")
        from harness.commands.recording import show

        raise typer.Exit(show(recordings, as_json, _asked(intent, like)))
    cache = BasisCache()
    by = _by(cache, _intended(_asked(intent, like)), describe)
    if write and (intent or like or describe):
        raise Stop("--write keeps what a run was judged by; leave out --intent, --like and --describe")
    if describe and (intent or like):
        raise Stop("--describe asks for no intent; leave out --intent and --like")
    cells = [cell for folder in folders for cell in _judged(folder, by, write)]
    summary: dict[str, int] = {**Counter(cell.verdict for cell in cells)}
    whole = verdict.Verdict(lockstep=own_version(), cells=cells, summary=summary, complete=True)
    if as_json:
        json(whole.model_dump_json(by_alias=True, indent=1, exclude_none=True))
    else:
        from reports import terminal

        terminal.show(whole, str(folders[0]) if len(folders) == 1 else "", console())
    raise typer.Exit(verdict.exit_status(cells))


def _recordings(folders: Sequence[Path]) -> Sequence[Path]:
    """The folders, if they are recordings; none if they are runs and traces. Raises Stop for some of both."""
    from harness.recordings import reader

    found = [folder for folder in folders if reader.is_recording(folder)]
    if found and len(found) < len(folders):
        raise Stop(f"{found[0]} is a recording, and not all of the others are; judge them apart")
    return found


def _asked(file: Path | None, like: str | None) -> Intent | Scenario | None:
    """What steps are held against, if that is not their own. Raises Stop and BadIntent."""
    import scenarios
    from harness.intent import file as intent_file
    from scenarios import files

    if file is not None and like is not None:
        raise Stop("--intent and --like are two answers to one question; give one")
    if file is not None:
        return intent_file.read(file)
    if like is None:
        return None
    if like.endswith(files.SUFFIX):
        return files.load(Path(like))
    try:
        return scenarios.get(like)
    except KeyError:
        raise Stop(f"no scenario {like!r}; `lockstep list scenarios` names them") from None


def _intended(asked: Intent | Scenario | None) -> Intent | None:
    """The same, of traces."""
    from adapters.contract import Scenario
    from harness.intent.of_scenario import of_scenario

    return of_scenario(asked) if isinstance(asked, Scenario) else asked


@dataclass(frozen=True)
class By:
    """How traces are judged."""

    judge: Callable[[Path, bool], Judgement]
    """Given a trace, and whether it stands alone: then it may say itself what was wanted."""
    own: bool
    """By what they themselves want: what is accepted of a run is accepted of that."""


def _by(cache: BasisCache, intent: Intent | None, describe: bool) -> By:
    from harness.judging import judge as judging

    if describe:
        return By(lambda trace, _: judging.describe(trace, cache), own=False)
    return By(lambda trace, alone: judging.judge(trace, cache, intent, carried=alone), own=intent is None)


def _judged(folder: Path, by: By, write: bool) -> Sequence[CellRecord]:
    """The cells of a folder, `trace` being a path from here."""
    from harness.commands.recorded import is_trace, lone_cell

    if is_trace(folder):
        if write:
            raise Stop(f"{folder} is a single trace, which keeps no verdict; give --write the folder of a run")
        return [_again(lone_cell(folder), Path(), by, write, alone=True)]
    cells = _run(folder, by, write)
    return [c.model_copy(update={"trace": str(folder / c.trace)}) if c.trace else c for c in cells]


def _run(folder: Path, by: By, write: bool) -> Sequence[CellRecord]:
    """The cells of a run's folder."""
    from harness.commands.recorded import read_run

    if not write:
        return [_again(cell, folder, by, write) for cell in read_run(folder).cells]
    read_run(folder)  # what is no run is left as it is
    with _writing(folder):
        return _rewritten(folder, by)


def _rewritten(folder: Path, by: By) -> Sequence[CellRecord]:
    """The cells of a run's folder, which holds what was found now. Raises BadFolder before anything is written."""
    from harness.across.view import views
    from harness.commands.recorded import read_run
    from harness.session.folder import inside
    from harness.traces.recovered_numbers import FILE
    from harness.verdicts import verdict
    from harness.version import own_version

    before = read_run(folder)
    for path in (verdict.FILE, *(f"{cell.trace}/{FILE}" for cell in before.cells if cell.trace)):
        inside(folder, folder / path)
    cells = [_by_whom(_again(cell, folder, by, write=True)) for cell in before.cells]
    update = {"cells": cells, "views": views(cells, folder), "lockstep": own_version()}
    verdict.write(before.model_copy(update=update), folder)
    return cells


def _by_whom(cell: CellRecord) -> CellRecord:
    """What was run by one harness and judged by another is nobody's: a run that is gone on with runs it again."""
    from harness.history.identity import identity

    return cell if cell.harness == identity() else cell.model_copy(update={"harness": None})


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """No run, and no other `judge --write`, writes there meanwhile. Raises BadFolder."""
    from harness.session.folder import alone

    try:
        with alone(folder):
            yield
    except OSError as error:
        raise Stop(f"{folder} cannot be written ({error.strerror}); judge it without --write", UNKNOWN) from None


def _again(cell: CellRecord, folder: Path, by: By, write: bool, alone: bool = False) -> CellRecord:
    """A cell without a trace stays what it was: unsupported, or unknown."""
    if cell.trace is None:
        return cell
    from harness.commands.recorded import judged_again
    from harness.judging import summary
    from harness.traces import recovered_numbers

    trace = folder / cell.trace
    judgement = by.judge(trace, alone)
    if write:
        recovered_numbers.write([summary.summarize(step) for step in judgement.steps], trace)
    return judged_again(cell, judgement, by.own)
