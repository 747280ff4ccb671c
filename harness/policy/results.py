"""From trainings to `mismatch-training.json`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from harness.policy import claims, measures
from harness.policy.claims import Arm
from harness.policy.corrections import CORRECTIONS
from harness.policy.mismatches import KINDS
from harness.policy.record import ArmRecord, Experiment, RunRecord
from harness.policy.training import GROUP, MODEL, Run
from harness.seeds import Number, interval, number
from harness.trial.model import Decoder
from harness.version import own_version

CURVE = 5
"""Steps of a training that make one point of its curve."""


def experiment(runs: Sequence[Run], made: Mapping[Run, RunRecord], broken: Sequence[str], command: str) -> Experiment:
    """All of it. Of an arm that was not trained with every seed nothing is told, and then no claim is judged."""
    size = runs[0].size
    seeds = sorted({run.seed for run in runs})
    by_arm: dict[Arm, list[RunRecord]] = {}
    for run in (run for run in runs if run in made):
        by_arm.setdefault(Arm(run.mismatch, run.correction), []).append(made[run])
    whole = {arm: records for arm, records in by_arm.items() if len(records) == len(seeds)}
    exact = whole.get(claims.EXACT_ARM)
    missing = [_named(run) for run in runs if run not in made]
    return Experiment(
        lockstep=own_version(),
        command=command,
        parameters=sum(each.numel() for each in Decoder(MODEL).parameters()),
        steps=size.steps,
        rows=size.prompts * GROUP,
        judged=size.judged,
        seeds=seeds,
        kinds={name: kind.what for name, kind in KINDS.items()},
        corrections={name: correction.what for name, correction in CORRECTIONS.items()},
        begun_with=_over(exact, lambda one: one.begun_with) if exact else None,
        arms=[_arm(arm, records, exact) for arm, records in whole.items()] if exact else [],
        claims=[] if missing else claims.claims(whole),
        missing=missing,
        broken=list(broken),
    )


def _named(run: Run) -> str:
    return f"{run.mismatch.label}, {run.correction}, seed {run.seed}"


def _arm(arm: Arm, records: Sequence[RunRecord], exact: Sequence[RunRecord]) -> ArmRecord:
    differences = [one.final - other.final for one, other in zip(records, exact, strict=True)]
    return ArmRecord(
        kind=arm.mismatch.kind,
        size=arm.mismatch.size,
        correction=arm.correction,
        finals=[one.final for one in records],
        final=_over(records, lambda one: one.final),
        less=number(interval(differences)),
        sampled=_over(records, lambda one: claims.last(one.rewards)),
        measures={name: _over(records, partial(_measured, name)) for name in measures.NAMES},
        rewards=[number(interval(values)) for values in zip(*(_curve(one.rewards) for one in records), strict=True)],
    )


def _measured(name: str, one: RunRecord) -> float:
    """In the mean over the steps."""
    return statistics.fmean(one.measures[name])


def _over(records: Sequence[RunRecord], of: Callable[[RunRecord], float]) -> Number:
    return number(interval([of(one) for one in records]))


def _curve(values: Sequence[float]) -> list[float]:
    return [statistics.fmean(values[at : at + CURVE]) for at in range(0, len(values), CURVE)]
