"""From a trace to findings and causes. Never raises for a bad trace: what cannot be judged is a finding itself."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from adapters.contract import END, Scenario
from harness.judging import evidence
from harness.judging.checks import CHECKS
from harness.judging.diagnosis.diagnose import diagnose
from harness.judging.evidence import NonFinite, StepEvidence
from harness.judging.weigher import ByForward, ByRecording
from harness.oracle.architectures import FORWARD
from harness.oracle.basis_cache import Bases, BasisCache
from harness.traces import reader, text_files
from harness.traces.batch import Conversation
from harness.traces.reader import IncompleteTrace, Trace
from harness.traces.text_files import Header, UnreadableTrace
from harness.verdicts.findings import Diagnosis, Finding
from harness.verdicts.questions import OPEN

SINGULAR = 1e6
"""Condition number of A from which on weights are not recovered to the floor any more."""


@dataclass(frozen=True)
class Judgement:
    """All that is to be said of one trace."""

    header: Header | None
    """None if not even the header could be read."""
    scenario: Scenario | None
    findings: tuple[Finding, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    steps: tuple[StepEvidence, ...] = ()

    @property
    def open(self) -> tuple[str, ...]:
        """What could not be asked of the run: keys of `harness.verdicts.questions.OPEN`, in its order."""
        return tuple(question for question in OPEN if any(question in step.open for step in self.steps))


def judge(folder: Path, cache: BasisCache | None = None) -> Judgement:
    """Read a trace, weigh every step, run every check, name the causes."""
    header, scenario = None, None
    try:
        header, scenario = text_files.header(folder)
        trace = reader.read(folder)
        return _weigh(trace, cache or BasisCache())
    except UnreadableTrace as error:
        return _failed(header, scenario, "run.unreadable", str(error))
    except IncompleteTrace as error:
        code = "run.incomplete" if (folder / END).exists() else "run.crashed"
        return _failed(header, scenario, code, str(error))
    except NonFinite as error:
        return _failed(header, scenario, "numerics.non-finite", f"{error}: weights cannot be recovered from it")
    except Exception as error:  # noqa: BLE001  whatever a strange trace makes crash proves nothing, and is told
        return Judgement(header, scenario, (_crashed("weighing", error, None),))


def _weigh(trace: Trace, cache: BasisCache) -> Judgement:
    """Quickly at first; where that finds anything, once more with all that the oracle has.

    What passes quickly is right: the same equations, a residual over every parameter, and tolerances that more draws
    of the floor only make larger. A model that the oracle has no forward pass of is judged by its recording alone.
    """
    scenario = trace.scenario
    if scenario.model.architecture not in FORWARD:
        return by_recording(trace)
    quick = check(trace, evidence.gather(trace, ByForward(scenario, Bases("tail", cache)), draws=1))
    return (
        quick if not quick.findings else check(trace, evidence.gather(trace, ByForward(scenario, Bases("full", cache))))
    )


def by_recording(trace: Trace) -> Judgement:
    """By what was recorded alone, whatever forward pass the oracle has. Raises what `evidence.gather` does."""
    return check(trace, evidence.gather(trace, ByRecording(trace)))


def _failed(header: Header | None, scenario: Scenario | None, code: str, message: str) -> Judgement:
    return Judgement(header, scenario, (Finding(code, message),))


def check(trace: Trace, steps: tuple[StepEvidence, ...]) -> Judgement:
    """Run every check on the evidence of a trace, and name the causes."""
    findings = _missing(trace, steps)
    for step in steps:
        for check in CHECKS:
            try:
                findings += check(step)
            except Exception as error:  # noqa: BLE001  a check that crashes is unknown, never a pass
                findings.append(_crashed(check.__name__, error, step.step))
    try:
        diagnoses = diagnose(trace.header, steps, findings) if steps else ()
    except Exception as error:  # noqa: BLE001  a diagnosis that crashes must not take the findings with it
        diagnoses = ()
        findings.append(_crashed("diagnose", error, None))
    return Judgement(trace.header, trace.scenario, tuple(findings), diagnoses, steps)


def _missing(trace: Trace, steps: tuple[StepEvidence, ...]) -> list[Finding]:
    """What a check needs and the trace lacks."""
    wanted = trace.scenario.steps
    findings = []
    if len(steps) < wanted:
        why = (
            "ranks hold different parameters from then on"
            if steps and (steps[-1].recorded.rank_distance or steps[-1].recorded.rank_distance_before)
            else "no more were recorded"
        )
        message = f"{len(steps)} of {wanted} optimizer steps are checked: {why}"
        findings.append(Finding("run.incomplete", message, observed=float(len(steps)), expected=float(wanted)))
    findings += [
        Finding(
            "run.incomplete",
            f"the tokens of step {s.step} cannot be told apart (condition number {s.condition:.2g}):"
            " their weights are unknown",
            step=s.step,
        )
        for s in steps
        if not s.condition <= SINGULAR
    ]
    return [*findings, *(_untold(s) for s in steps if _silent(s))]


def _silent(step: StepEvidence) -> list[Conversation]:
    """Conversations of whose trained tokens none has a gradient that is long enough to tell its weight."""
    told = {
        slot.conversation
        for slot, known in zip(step.right.slots, step.tokens.told, strict=True)
        if slot.trained and known
    }
    return [c for i, c in enumerate(step.right.conversations) if c.targets and i not in told]


def _untold(step: StepEvidence) -> Finding:
    silent = _silent(step)
    return Finding(
        "run.incomplete",
        f"the gradients of all trained tokens of {len(silent)} of {len(step.right.conversations)} conversations of step"
        f" {step.step} are too short to tell what they weigh: row {silent[0].row} (rank {silent[0].rank}, micro-batch"
        f" {silent[0].micro_batch}) first",
        step=step.step,
        rank=silent[0].rank,
        micro_batch=silent[0].micro_batch,
    )


def _crashed(name: str, error: Exception, step: int | None) -> Finding:
    where = traceback.extract_tb(error.__traceback__)[-1]
    what = " ".join(str(error).split())[:300]
    message = f"{name} crashed: {type(error).__name__}: {what} ({Path(where.filename).name}:{where.lineno})"
    return Finding("run.incomplete", message, step=step)
