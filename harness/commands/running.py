"""A plan that is run from the command line, with its progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.commands.output import console
from harness.commands.stop import INTERRUPTED, UNKNOWN, Stop, terminable

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judging.accepted import Entry
    from harness.session.folder import RunFolder
    from harness.session.parts import Parts
    from harness.session.plan import Plan
    from harness.verdicts.verdict import Verdict


def verdict(
    plan: Plan,
    folder: RunFolder,
    envs: Path | None,
    listed: Sequence[Entry],
    again: str,
    kept: bool = True,
    tally: Callable[[int], str] | None = None,
    failing: str = "FAIL",
    changed: Callable[[Parts], Parts] = lambda parts: parts,
) -> Verdict:
    """Run every cell. `again`: how an interrupted run goes on; `kept`: whether the history is told of its cells;
    `tally`: how far it is, from the number of cells that are done; `failing`: what a cell that fails is called;
    `changed`: what is otherwise than in other runs.

    Raises Stop where it is interrupted, and where nothing can be written any more.
    """
    from harness.commands.progress import Progress
    from harness.session import real
    from harness.session.session import Session

    try:
        with terminable(), Progress(tally or (lambda done: f"{done}/{plan.cells}"), console(stderr=True)) as progress:
            parts = real.parts(plan, envs, listed, progress.warn)
            progress.failing(failing)
            parts = changed(parts if kept else replace(parts, keep=real.forget))
            return Session(plan, folder, parts, progress).run()
    except KeyboardInterrupt:
        raise Stop(f"interrupted; what was recorded is in {folder.path}, and {again}", INTERRUPTED) from None
    except OSError as error:
        raise Stop(f"{folder.path} cannot be written any more: {error.strerror or error}", UNKNOWN) from None
