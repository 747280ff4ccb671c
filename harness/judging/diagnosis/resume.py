"""What a run that goes on from a checkpoint did not take from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adapters.contract import Scenario
from harness.judging import initial, lost_epoch
from harness.judging.diagnosis import lost_parameters, schedules
from harness.judging.diagnosis.wording import of_codes
from harness.judging.evidence import StepEvidence
from harness.oracle.observe import begun_anew
from harness.oracle.update import recover
from harness.verdicts.findings import Diagnosis, Finding

REPORTS = ("loss.value", "grad-norm.value", "learning-rate.value")
"""Codes of what is wrong in a log alone, or follows from something else."""
SHOWN = 4
"""Names of tensors that a sentence has at most."""


@dataclass(frozen=True)
class Resumed:
    """A cause, and what follows from it."""

    diagnosis: Diagnosis
    codes: frozenset[str]
    """Of findings from the first step after the checkpoint on."""
    steps: frozenset[int]
    """Steps of which nothing else can be told."""

    def claims(self, finding: Finding, first: int) -> bool:
        """Whether a finding follows from it; `first` is the step after the checkpoint."""
        at = finding.step
        if at is None:  # of the run as a whole
            return finding.code in self.codes
        return at >= first and (finding.code in self.codes or at in self.steps)


@dataclass(frozen=True)
class _Kind:
    name: str
    sentence: str
    codes: frozenset[str]
    holds: Callable[[Scenario, Sequence[StepEvidence]], bool]
    """Of the steps after the checkpoint."""
    spoils: Callable[[Sequence[StepEvidence]], frozenset[int]] = lambda _: frozenset()
    also: frozenset[str] = frozenset()
    """Codes of findings that follow from it, and do not tell it."""
    shows: Callable[[Scenario, Sequence[StepEvidence]], str] | None = None
    """Evidence, where it is not the message of the first finding."""


def found(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Resumed | None:
    """The first cause that holds, where all went well up to the checkpoint; None if there is none."""
    scenario = evidence[0].scenario if evidence else None
    first = 0 if scenario is None else scenario.window.resume_after
    after = [e for e in evidence if e.step >= first]
    before = any(f.step is not None and f.step < first and f.code not in (*REPORTS, initial.CODE) for f in findings)
    shown = after or of_codes(findings, lost_epoch.CODE)
    if scenario is None or not first or not shown or before:
        return None
    for kind in _KINDS:
        own = of_codes(findings, *kind.codes)
        if own and kind.holds(scenario, after):
            sentence = f"the run that goes on after step {first - 1} {kind.sentence}"
            spoiled = kind.spoils(after)
            codes = tuple(dict.fromkeys(f.code for f in (*own, *(f for f in findings if f.step in spoiled))))
            shown_by = own[0].message if kind.shows is None else kind.shows(scenario, after)
            told = Diagnosis("resume", sentence, 1.0, codes, shown_by, kind=f"resume: {kind.name}")
            return Resumed(told, kind.codes | kind.also, spoiled)
    return None


def _has_rows(scenario: Scenario, after: Sequence[StepEvidence], moved: int) -> bool:
    """Whether every step has the rows of the one that is so many steps from it."""
    if scenario.data.order != "given" or scenario.data.packed_length is not None:
        return False
    had = [Counter(c.row for c in e.right.conversations) for e in after]
    return all(Counter(_rows(scenario, e.step + moved)) == rows for e, rows in zip(after, had, strict=True))


def _rows(scenario: Scenario, step: int) -> list[int]:
    return scenario.step_rows(step) if step >= 0 else []


def _repeated(scenario: Scenario, after: Sequence[StepEvidence]) -> bool:
    return any(_has_rows(scenario, after, -moved) for moved in range(1, scenario.window.resume_after + 1))


def _by_new_ranks(scenario: Scenario, after: Sequence[StepEvidence]) -> bool:
    """Whether every step has rows that come as many before its own as those had on the ranks that are gone."""
    window = scenario.window
    if not window.resume_ranks:
        return False
    each = window.accumulation * window.micro_batch_size * scenario.data.rows_per_sequence
    back = window.resume_after * (window.ranks - window.resume_ranks) * each
    had = {e.step: Counter(c.row for c in e.right.conversations) for e in after}
    return all(Counter(row - back for row in scenario.step_rows(step)) == rows for step, rows in had.items())


def _skipped(scenario: Scenario, after: Sequence[StepEvidence]) -> bool:
    return any(_has_rows(scenario, after, moved) for moved in range(1, scenario.window.steps + 1))


def _schedule_anew(_: Scenario, after: Sequence[StepEvidence]) -> bool:
    intent, first = after[0].right.intent, after[0].right.update
    rates = [schedules.measured(e) for e in after]
    anew = all(abs(one.rate - intent.schedule_rate(one.update - first)) <= one.allowed for one in rates)
    return anew and any(abs(one.rate - intent.schedule_rate(one.update)) > one.allowed for one in rates)


def _moments_anew(_: Scenario, after: Sequence[StepEvidence]) -> bool:
    e = after[0]
    if e.intent.rule.holds_squares:
        return e.betas.beta1 is not None and abs(e.betas.beta1) <= e.floor.tolerance("beta1")
    return begun_anew(e.recorded.moments, e.right.intent.rule, e.floor.tolerance("second"))


def _masters_rounded(_: Scenario, after: Sequence[StepEvidence]) -> bool:
    """The first step's updates follow the rule from parameters that bfloat16 holds, and not from those before it."""
    e = after[0]
    rounded = {n: replace(s, before=s.before.bfloat16().double()) for n, s in e.recorded.states.items()}
    if all(bool((s.before == rounded[n].before).all()) for n, s in e.recorded.states.items()):
        return False
    found = [recover(n, s, e.used, e.right.update + 1) for n, s in rounded.items()]
    return all(map(e.update.follows, found)) and not all(map(e.update.follows, e.update.as_asked))


def _parameters_anew(scenario: Scenario, after: Sequence[StepEvidence]) -> bool:
    return bool(lost_parameters.lost(scenario, after[0]))


def _lost_parameters(scenario: Scenario, after: Sequence[StepEvidence]) -> str:
    lost = lost_parameters.lost(scenario, after[0])
    named = ", ".join(lost[:SHOWN]) + f" and {len(lost) - SHOWN} more" * (len(lost) > SHOWN)
    of = f"{len(lost)} of {len(after[0].recorded.states)} tensors"
    return f"at step {after[0].step} {of} move from what they were before the training: {named}"


_KINDS = (
    _Kind(
        "epoch lost",
        "trained nothing of the epoch that comes next, and ended as if it had",
        frozenset({lost_epoch.CODE}),
        lambda _, __: True,
        also=frozenset({"inputs.batch", "inputs.order"}),
    ),
    _Kind(
        "optimizer",
        "began with a new optimizer: its moments and its count of steps are not those of the checkpoint",
        frozenset({"update.moments", "weights.residual", "update.learning-rate"}),
        _moments_anew,
        lambda after: frozenset(e.step for e in after),
    ),
    _Kind(
        "masters",
        "began with parameters rounded to bfloat16: the float32 masters are not those of the checkpoint",
        frozenset({"update.moments", "weights.residual", "numerics.dtype"}),
        _masters_rounded,
        lambda after: frozenset({after[0].step}),
    ),
    _Kind(
        "parameters",
        "did not take all parameters from it: some tensors began as they were before the training",
        frozenset({"weights.residual", "update.moments", "update.learning-rate", "update.weight-decay"}),
        _parameters_anew,
        lambda after: frozenset({after[0].step}),
        shows=_lost_parameters,
    ),
    _Kind(
        "rows by the new ranks",
        "skipped as many rows as the steps so far would have had on the ranks that go on: some are trained twice",
        frozenset({"inputs.batch"}),
        _by_new_ranks,
    ),
    _Kind(
        "rows repeated",
        "trained rows again that came before the checkpoint, and not those that come next",
        frozenset({"inputs.batch"}),
        _repeated,
    ),
    _Kind(
        "rows skipped",
        "skipped the rows that come next",
        frozenset({"inputs.batch"}),
        _skipped,
    ),
    _Kind(
        "schedule",
        "began its learning-rate schedule anew",
        frozenset({"update.learning-rate"}),
        _schedule_anew,
    ),
)
"""In the order in which they are tried."""
