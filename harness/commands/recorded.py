"""Reading what runs have left: a run's folder, or a single trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adapters.contract import CRASH, END, HEADER
from harness.commands.stop import Stop
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict

if TYPE_CHECKING:
    from harness.judging.judge import Judgement


def read_run(folder: Path) -> Verdict:
    """Raises Stop for what is no run, and UnreadableVerdict."""
    if not folder.is_dir():
        raise Stop(f"{folder} is no folder; give the --out folder of a `lockstep run`, or a trace's")
    if not (folder / verdict.FILE).exists():
        raise Stop(f"{folder} is neither a run (it has no {verdict.FILE}) nor a trace (it has no {HEADER})")
    return verdict.read(folder)


def is_trace(folder: Path) -> bool:
    """Whether a folder is a trace, whole or not."""
    return any((folder / name).is_file() for name in (HEADER, END, CRASH))


def lone_cell(folder: Path) -> CellRecord:
    """The cell of a trace that stands alone, as far as its header tells. Raises UnreadableTrace."""
    from harness.traces.text_files import header

    head, scenario = header(folder)
    cell = CellRecord(
        framework=head.framework,
        version=head.version,
        scenario=scenario.name,
        seed=scenario.seed,
        verdict="unknown",
    )
    return cell.model_copy(update={"trace": str(folder)})  # a path from here, not within a run


def judged_again(cell: CellRecord, judgement: Judgement, own: bool = True) -> CellRecord:
    """The cell by what was found now, with what is known of its release; unknown if the trace is another cell's.

    What is accepted counts if the trace was held against its `own` intent.

    Raises BadAccepted.
    """
    from harness.judging import accepted
    from harness.session.cell import judged_record
    from harness.traces.text_files import one_line

    found, header = judged_record(cell, judgement), judgement.header
    if judgement.description:
        found = found.model_copy(update={"described": list(judgement.description)})
    if header is None:
        return found
    if header.framework != cell.framework or cell.scenario_hash not in (None, header.scenario_hash):
        reason = (
            f"{cell.trace} is of another cell: of {one_line(header.framework)} on a scenario of hash"
            f" {one_line(header.scenario_hash)}"
        )
        return cell.model_copy(update={"verdict": "unknown", "reason": reason, "findings": [], "diagnoses": []})
    if not own:
        return found
    packages = {**header.packages, header.framework: header.version}
    return accepted.apply(found, packages, accepted.load(), judgement.scenario)
