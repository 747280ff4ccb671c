"""Causes of what was found in small runs, and what is known of each upstream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.judging.diagnosis import upstream
from harness.judging.diagnosis.upstream import Where
from harness.validation.found.judging import Judged
from harness.validation.known.options import Options
from harness.validation.record import CauseRecord
from harness.validation.step import spread
from harness.validation.step.effective import Effective
from harness.verdicts.findings import CAUSES, Diagnosis

OTHERWISE: Mapping[str, str] = {
    "inputs.batch": "batch-composition",
    "weights.residual": "unexplained-gradient",
    "weights.mask": "loss-mask",
    "update.learning-rate": "learning-rate-schedule",
    "update.moments": "optimizer-moments",
    "state.rank-desync": "rank-desync",
    "numerics.dtype": "coarse-dtype",
}
"""Of findings that no diagnosis explains."""


def causes(judged: Sequence[Judged], where: Where) -> list[CauseRecord]:
    """Each once, in the order in which a step applies them."""
    found: dict[str, CauseRecord] = {}
    for one in judged:
        at_end = _carried(one)
        # What is found behind a window that has gone on in the next epoch follows from it.
        each = [at_end] if at_end else [*one.told.diagnoses, *_others(one)]
        for diagnosis in each:
            found.setdefault(diagnosis.cause, _record(diagnosis, where))
    return list(found.values())


def _carried(one: Judged) -> Diagnosis | None:
    """The last window of an epoch, where it is no step of its own: the next one has more micro-batches than it may."""
    batches = [f for f in one.told.findings if f.code == "inputs.batch"]
    steps = one.intent.windows or ()
    if not batches or batches[0].step is None or batches[0].step >= len(steps):
        return None
    short = len(steps[batches[0].step])
    if short == one.intent.accumulation or batches[0].observed != float(one.intent.accumulation):
        return None
    says = (
        f"the last {short} micro-batches of an epoch are no step of their own: they go on in the next epoch, while"
        " the schedule counts them as one"
    )
    return Diagnosis("epoch-end", says, 1.0, ("inputs.batch",), batches[0].message, kind="epoch-end: carried")


def _record(d: Diagnosis, where: Where) -> CauseRecord:
    entry = upstream.find(where, d)
    return CauseRecord(
        cause=d.cause,
        says=d.summary,
        evidence=d.evidence or None,
        upstream=entry.sentence if entry else None,
        remedy=entry.remedy if entry else None,
    )


def _others(one: Judged) -> Iterator[Diagnosis]:
    explained = {code for diagnosis in one.told.diagnoses for code in diagnosis.codes}
    for finding in one.told.findings:
        if finding.code not in explained and finding.code in OTHERWISE:
            cause = OTHERWISE[finding.code]
            measured = tuple(str(value) for name, value in finding.detail.items() if name == "mask")
            yield Diagnosis(cause, CAUSES[cause], 0.0, (finding.code,), finding.message, measured=measured)


def where(
    framework: str, packages: Mapping[str, str], step: Effective, options: Options, architecture: str | None
) -> Where:
    """What is known of the runs of a configuration; the rest of an entry's conditions nobody knows.

    architecture: the `model_type` of what ran.
    """
    engine, held = options.configuration.deepspeed, spread.of(options)
    told: dict[str, object] = {
        "offload": held.offload,
        "precision": step.precision.compute,
        "moving_rate": not step.optimizer.schedule.constant,
        "smoothed": step.token_loss.label_smoothing > 0,
        "implementation": "own",
        "given_in": "engine" if engine and engine.has("scheduler") else "options",
        "processor": False,
        "architecture": architecture,
        "method": "sft",
    }
    return Where(framework, packages, told if held.strategy is None else {**told, "sharding": held.strategy})
