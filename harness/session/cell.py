"""One cell of a session, and what is recorded of it: before it ran, after it ended by itself, after it did not."""

from __future__ import annotations

from dataclasses import dataclass

from harness.environments.request import Request
from harness.history.identity import identity
from harness.session.parts import Judged, Ran
from harness.session.plan import Choice
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Outcome


@dataclass(frozen=True)
class PlannedCell:
    """One cell on its way."""

    place: tuple[int, int]
    request: Request
    choice: Choice
    version: str
    """As it stands in the verdict."""
    command: str
    scenario_hash: str
    environment: str | None = None
    """As `CellRecord` has it."""

    @property
    def name(self) -> str:
        """As in `CellRecord`."""
        return self.record("unknown").name

    def record(self, verdict: Outcome, **more: object) -> CellRecord:
        fields = {
            "framework": self.request.framework,
            "version": self.version,
            "scenario": self.choice.name,
            "seed": self.choice.seed,
            "verdict": verdict,
            "command": self.command,
            "environment": self.environment,
            "scenario_hash": self.scenario_hash,
            "harness": identity(),
        }
        return CellRecord.model_validate(fields | more)


def judged_record(cell: CellRecord, judged: Judged) -> CellRecord:
    """The cell with the verdict that follows from what was found."""
    outcome = verdict.outcome(judged.findings)
    return cell.model_copy(
        update={
            "verdict": outcome,
            "findings": [verdict.record_finding(f) for f in judged.findings],
            "diagnoses": [verdict.record_diagnosis(d) for d in judged.diagnoses],
            "open": list(judged.open) or None,
            "reason": judged.findings[0].message if outcome == "unknown" else None,
        }
    )


def crash_message(ran: Ran) -> str:
    """One line for a cell that did not end by itself: the reason, and the last line of the log."""
    reason = ran.reason or f"the run ended as {ran.status}"
    lines = [line.strip() for line in ran.log_tail.splitlines() if line.strip()]
    return reason if not lines or lines[-1] in reason else f"{reason}; last line of the log: {lines[-1]}"
