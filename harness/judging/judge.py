"""From a trace to findings and causes. Never raises for a bad trace: what cannot be judged is a finding itself."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from adapters.contract import END, INTENT, Scenario
from harness.intent import file as intent_file
from harness.intent import received
from harness.intent.file import BadIntent
from harness.intent.fits import misfit
from harness.intent.intent import Intent
from harness.intent.of_scenario import of_scenario
from harness.judging import description, devices, effective, evidence, initial, lost_epoch, overflow
from harness.judging.checks import CHECKS, OF_SKIPPED
from harness.judging.diagnosis.diagnose import diagnose
from harness.judging.evidence import NonFinite, Received, Skipped, StepEvidence
from harness.judging.overflow import Scaled
from harness.judging.weigher import ByForward, ByRecording, Weigher
from harness.oracle.architectures import FORWARD
from harness.oracle.basis_cache import Bases, BasisCache, Kind
from harness.oracle.floor import TELL
from harness.traces import reader, text_files
from harness.traces.batch import Conversation
from harness.traces.reader import IncompleteTrace, Trace
from harness.traces.text_files import Header, UnreadableTrace
from harness.verdicts.findings import Diagnosis, Finding
from harness.verdicts.questions import DEVICE, OPEN

USELESS = 1.0
"""Relative tolerance from which on nothing can be told: a weight or a rate of 0 would be within it."""
NOT_DESCRIBED = "what pairs or rewards were made into is not described: it is held against the scenario's own objective"
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
    description: tuple[str, ...] = ()
    """What the steps were, where nobody has said what they should have been."""

    @property
    def open(self) -> tuple[str, ...]:
        """What could not be asked of the run: keys of `harness.verdicts.questions.OPEN`, in its order."""
        left = {question for step in self.steps for question in step.open}
        if self.steps and self.header and self.scenario:
            precision = self.scenario.precision.compute
            left |= {DEVICE} if devices.unmeasured(self.header, precision) else set()
        return tuple(question for question in OPEN if question in left)


def judge(
    folder: Path, cache: BasisCache | None = None, intent: Intent | None = None, carried: bool = True
) -> Judgement:
    """Read a trace, weigh every step, run every check, name the causes.

    Steps are held against `intent`, else against the one that the trace carries, else against the scenario's. What was
    run to be judged by its scenario has no say in that: `carried` is False for it. Raises BadIntent for an `intent`
    that cannot be of this run.
    """
    cache = cache or BasisCache()
    return _read(folder, lambda trace: _weigh(trace, _intent(trace, intent, carried), cache))


def describe(folder: Path, cache: BasisCache | None = None) -> Judgement:
    """The same, held against the intent that the steps themselves follow, and told in sentences: what no objective
    does is still found."""
    cache = cache or BasisCache()
    return _read(folder, lambda trace: _described(trace, cache))


def _read(folder: Path, weigh: Callable[[Trace], Judgement]) -> Judgement:
    header, scenario = None, None
    try:
        header, scenario = text_files.header(folder)
        return weigh(reader.read(folder))
    except BadIntent:
        raise
    except UnreadableTrace as error:
        return _failed(header, scenario, "run.unreadable", str(error))
    except IncompleteTrace as error:
        code = "run.incomplete" if (folder / END).exists() else "run.crashed"
        return _failed(header, scenario, code, str(error))
    except NonFinite as error:
        return _failed(header, scenario, "numerics.non-finite", f"{error}: weights cannot be recovered from it")
    except Exception as error:  # noqa: BLE001  whatever a strange trace makes crash proves nothing, and is told
        return Judgement(header, scenario, (_crashed("weighing", error, None),))


def _intent(trace: Trace, given: Intent | None, carried: bool) -> Intent:
    """What the steps are held against. Raises BadIntent and UnreadableTrace."""
    own = intent_file.of_trace(trace.folder) if carried and given is None else None
    intent = given or own or of_scenario(trace.scenario)
    why = misfit(intent, trace.scenario, trace.steps)
    if why is None:
        return intent
    if given is not None:
        raise BadIntent(f"{trace.folder}: {why}; give it the intent of its own run")
    raise UnreadableTrace(f"{trace.folder / INTENT}: {why}; record it again")


def _described(trace: Trace, cache: BasisCache) -> Judgement:
    if trace.scenario.objective.method != "sft":
        return replace(_weigh(trace, of_scenario(trace.scenario), cache), description=(NOT_DESCRIBED,))
    assumed = received.resolved(effective.assumed(trace.scenario, evidence.steps_of(trace)), trace)
    steps = evidence.gather(trace, assumed, _weigher(trace, "tail", cache))
    judgement = _weigh(trace, effective.followed(steps, assumed), cache)
    return replace(judgement, description=description.sentences(judgement.steps))


def _weigh(trace: Trace, intent: Intent, cache: BasisCache) -> Judgement:
    """Quickly at first; where that finds anything, once more with more draws of the floor; and by whole columns where
    weights by the tail of the model do not explain it, or rounding to a coarse dtype leaves too little to be told by.

    What passes quickly is right: the same equations, a residual over every parameter, and tolerances that more draws
    only make larger. A model that the oracle has no forward pass of is judged by its recording alone.
    """
    ends, intent = received.unfinished(intent, trace), received.resolved(intent, trace)
    by = _weigher(trace, "tail", cache)
    scaled = overflow.gather(trace, intent, by)
    quick = check(trace, intent, evidence.gather(trace, intent, by, draws=1), scaled, ends)
    if not quick.findings or trace.scenario.model.architecture not in FORWARD:
        return quick
    steps = evidence.gather(trace, intent, by)
    if intent.precision != "fp32" or not all(step.explained for step in steps):
        steps = evidence.gather(trace, intent, _weigher(trace, "full", cache))
    return check(trace, intent, steps, scaled, ends)


def by_recording(trace: Trace, intent: Intent | None = None) -> Judgement:
    """By what was recorded alone, whatever forward pass the oracle has; against the scenario's intent unless another is
    given. Raises what `evidence.gather` does."""
    given = intent or of_scenario(trace.scenario)
    wanted = received.resolved(given, trace)
    steps = evidence.gather(trace, wanted, ByRecording(trace))
    return check(trace, wanted, steps, ends=received.unfinished(given, trace))


def _weigher(trace: Trace, kind: Kind, cache: BasisCache) -> Weigher:
    """By a basis of that kind, or by the recording alone where the oracle has no forward pass of the model."""
    model = trace.scenario.model
    return ByForward(model, Bases(kind, cache)) if model.architecture in FORWARD else ByRecording(trace)


def _failed(header: Header | None, scenario: Scenario | None, code: str, message: str) -> Judgement:
    return Judgement(header, scenario, (Finding(code, message),))


def check(
    trace: Trace,
    intent: Intent,
    steps: tuple[StepEvidence, ...],
    scaled: Sequence[Scaled] = (),
    ends: str | None = None,
) -> Judgement:
    """Run every check on the evidence of a trace, and name the causes.

    scaled: every step of a run with loss scaling, some of which may have been skipped.
    ends: why rows may be lost at the end of the run (`received.unfinished`).
    """
    skipped = evidence.skipped(trace, intent)
    lost = lost_epoch.finding(trace)
    wanted = intent.steps if lost is None else trace.steps
    findings = [*_missing(wanted, steps, skipped, scaled), *overflow.findings(scaled, steps)]
    findings = [*initial.findings(trace, intent), *findings]
    findings += [] if lost is None else [lost]
    findings += [Finding("run.incomplete", ends)] if ends else []
    for still in skipped:
        findings += _asked(OF_SKIPPED, still)
    for step in steps:
        findings += _asked(CHECKS, step)
    findings = overflow.only(findings)
    try:
        diagnoses = diagnose(trace.header, steps, findings) if steps else ()
    except Exception as error:  # noqa: BLE001  a diagnosis that crashes must not take the findings with it
        diagnoses = ()
        findings.append(_crashed("diagnose", error, None))
    return Judgement(trace.header, trace.scenario, tuple(findings), diagnoses, steps)


S = TypeVar("S", bound=Received)


def _asked(checks: Sequence[Callable[[S], Sequence[Finding]]], step: S) -> list[Finding]:
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check(step)
        except Exception as error:  # noqa: BLE001  a check that crashes is unknown, never a pass
            findings.append(_crashed(getattr(check, "__name__", "check"), error, step.step))
    return findings


def _missing(
    wanted: int, steps: Sequence[StepEvidence], skipped: Sequence[Skipped], scaled: Sequence[Scaled]
) -> list[Finding]:
    """What a check needs and the trace lacks. `wanted`: optimizer steps."""
    known = len(steps) + len(skipped)
    recorded = [*(one.recorded for one in steps), *(one.recorded for one in skipped)]
    apart = any(one.rank_distance or one.rank_distance_before for one in recorded)
    why = "ranks hold different parameters from then on" if apart else "no more were recorded"
    findings = []
    if skipped and not steps:
        message = (
            f"all {known} of {wanted} optimizer steps that can be checked were skipped, so that nothing is weighed"
        )
        return [Finding("run.incomplete", message, observed=0.0, expected=float(wanted))]
    if skipped and not scaled:
        message = f"{len(skipped)} of {wanted} optimizer steps were skipped: whether rightly cannot be told"
        findings.append(Finding("run.incomplete", message, observed=float(len(steps)), expected=float(wanted)))
    if known < wanted:
        message = f"{known} of {wanted} optimizer steps are checked: {why}"
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
    findings += [
        Finding(
            "run.incomplete",
            f"rounding alone would be {s.floor.tolerance(name):.2g} of {what} intended for step {s.step}: whether"
            " it was so cannot be told",
            step=s.step,
        )
        for s in steps
        for name, what in (("token", "the weight of a token"), ("learning_rate", "the learning rate"))
        if not s.floor.tolerance(name) < USELESS
    ]
    return [*findings, *(_untold(s) for s in steps if _silent(s))]


def _silent(step: StepEvidence) -> list[Conversation]:
    """Conversations of whose trained tokens none has a gradient long enough to tell its weight beside rounding."""
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
        f"rounding alone would be {TELL:g} or more of what every trained token of {len(silent)} of"
        f" {len(step.right.conversations)} conversations of step {step.step} should weigh: what they weigh cannot be"
        f" told; row {silent[0].row} (rank {silent[0].rank}, micro-batch {silent[0].micro_batch}) first",
        step=step.step,
        rank=silent[0].rank,
        micro_batch=silent[0].micro_batch,
    )


def _crashed(name: str, error: Exception, step: int | None) -> Finding:
    where = traceback.extract_tb(error.__traceback__)[-1]
    what = " ".join(str(error).split())[:300]
    message = f"{name} crashed: {type(error).__name__}: {what} ({Path(where.filename).name}:{where.lineno})"
    return Finding("run.incomplete", message, step=step)
