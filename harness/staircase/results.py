"""From the cells of a run to `staircase.json`."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.history.identity import identity
from harness.seeds import ClaimRecord, number
from harness.staircase import claims, labels, scored
from harness.staircase.arms import Arm
from harness.staircase.attribution import Mended, gap, interaction, worth
from harness.staircase.claims import KINDS, BySeed, Measured
from harness.staircase.flops import flops
from harness.staircase.labels import Labelled
from harness.staircase.planned import Training, Trainings
from harness.staircase.record import (
    ArmRecord,
    AttributionRecord,
    DifferenceRecord,
    FixRecord,
    Staircase,
    TrainingRecord,
)
from harness.traces import trained
from harness.traces.text_files import UnreadableTrace
from harness.verdicts.verdict import CellRecord
from harness.version import own_version
from scenarios import weights

Made = Mapping[Training, TrainingRecord]


def training_record(one: Training, cell: CellRecord, folder: Path, held_out: int) -> TrainingRecord:
    """What came of a training. `folder`: of the run that its cell is in."""
    record = TrainingRecord(
        seed=one.seed,
        state="unknown",
        reason=cell.reason,
        causes=[diagnosis.cause for diagnosis in cell.diagnoses],
        said=[diagnosis.summary for diagnosis in cell.diagnoses],
        seconds=cell.seconds,
    )
    if cell.verdict in ("unsupported", "unknown") or cell.trace is None:
        state = "unsupported" if cell.verdict == "unsupported" else "unknown"
        return record.model_copy(update={"state": state})
    try:
        steps = trained.steps(folder / cell.trace, one.whole.window.steps)
        score = scored.read(folder / cell.trace, held_out)
    except (UnreadableTrace, scored.Unscored) as error:
        return record.model_copy(update={"reason": str(error)})
    return record.model_copy(
        update={
            "state": "trained",
            "accuracy": score.accuracy,
            "nll": score.nll,
            "loss": [step.logged for step in steps],
            "grad_norm": [step.grad_norm for step in steps],
            "norm": _norm([step.grad_norm for step in steps]),
            "variability": _variability([step.logged for step in steps]),
        }
    )


def staircase(
    trainings: Trainings,
    made: Made,
    effective: Sequence[str],
    differences: Sequence[DifferenceRecord],
    command: str,
) -> Staircase:
    """All of it."""
    arms = list(dict.fromkeys(one.arm for one in trainings.every))
    by_arm = {arm: [made[one] for one in trainings.every if one.arm == arm] for arm in arms}
    labelled = _labelled(by_arm)
    model = trainings.every[0].whole.model
    found = Staircase(
        lockstep=own_version(),
        harness=identity(),
        command=command,
        parameters=weights.count(model),
        held_out=trainings.size.held_out,
        seeds=sorted({one.seed for one in trainings.every}),
        effective=list(effective),
        differences=list(differences),
        arms=[_arm(trainings, arm, by_arm[arm], labelled[arm]) for arm in arms],
    )
    factorial = {frozenset(arm.fixes): records for arm, records in by_arm.items() if arm.role == "factorial"}
    right = {arm: labelled[arm].right for arm in arms}
    if missing := _missing(right, factorial, differences):
        return found.model_copy(update={"missing": missing})
    mended = labels.mends({fixes: _causes(records) or frozenset() for fixes, records in factorial.items()})
    measured = _measured(by_arm, right, factorial, mended)
    return found.model_copy(
        update={
            "attributions": _attributions(measured, mended),
            "claims": [ClaimRecord(**vars(claim)) for claim in claims.claims(measured)],
        }
    )


def _missing(
    right: Mapping[Arm, bool | None],
    factorial: Mapping[Mended, Sequence[TrainingRecord]],
    differences: Sequence[DifferenceRecord],
) -> str | None:
    """Why nothing can be concluded from these trainings."""
    if any(record.state != "trained" for records in factorial.values() for record in records):
        return "not every combination of fixes was trained with every seed"
    if differences:
        return "arms were trained with other hyperparameters than they should have"
    if odd := [arm.label for arm, known in right.items() if arm.role == "factorial" and known is False]:
        return f"{odd[0]} is not what its label says"
    return None


def _arm(trainings: Trainings, arm: Arm, records: Sequence[TrainingRecord], labelled: Labelled) -> ArmRecord:
    own = next(one.whole for one in trainings.every if one.arm == arm)
    tokens = sum(own.tokens(row) for row in own.data.rows)
    counted = any(record.state == "trained" for record in records)
    return ArmRecord(
        label=arm.label,
        role=arm.role,
        fixes=list(arm.fixes),
        hyper=arm.hyper.said if arm.hyper else None,
        steps=own.window.steps,
        rows=own.rows_per_step,
        flops=flops(weights.count(own.model), tokens) if counted else None,
        as_labelled=labelled.right,
        weighed=labelled.said,
        trainings=list(records),
    )


# ---- what the oracle found


def _causes(records: Sequence[TrainingRecord]) -> frozenset[str] | None:
    """What is wrong in the first steps of an arm, with any seed; None where one of them could not be weighed."""
    if any(record.state != "trained" for record in records):
        return None
    return frozenset(cause for record in records for cause in record.causes) - labels.REPORTING


def _labelled(by_arm: Mapping[Arm, Sequence[TrainingRecord]]) -> dict[Arm, Labelled]:
    causes = {arm: _causes(records) for arm, records in by_arm.items()}
    combinations = {
        frozenset(arm.fixes): own for arm, own in causes.items() if arm.role == "factorial" and own is not None
    }
    every = all(own is not None for arm, own in causes.items() if arm.role == "factorial")
    result = {}
    for arm, own in causes.items():
        if own is None:
            result[arm] = Labelled(None, "it was not trained with every seed")
        elif arm.role == "factorial":
            told = labels.of_combination(frozenset(arm.fixes), combinations) if every else None
            result[arm] = told or Labelled(None, "other combinations were not trained")
        elif arm.role == "control":
            result[arm] = labels.of_control(own, combinations.get(frozenset()))
        else:
            result[arm] = labels.of_right(own)
    return result


# ---- numbers


def _measured(
    by_arm: Mapping[Arm, Sequence[TrainingRecord]],
    right: Mapping[Arm, bool | None],
    factorial: Mapping[Mended, Sequence[TrainingRecord]],
    by: Mapping[str, frozenset[str]],
) -> Measured:
    independent = {
        arm.label: (_told(records, "accuracy"), _told(records, "nll")) if right[arm] else None
        for arm, records in by_arm.items()
        if arm.role == "independent"
    }
    return Measured(
        accuracy={mended: _told(records, "accuracy") for mended, records in factorial.items()},
        nll={mended: _told(records, "nll") for mended, records in factorial.items()},
        grad_norm={mended: _told(records, "norm") for mended, records in factorial.items()},
        variability={mended: _told(records, "variability") for mended, records in factorial.items()},
        independent=independent,
        kinds={fix: KINDS[next(iter(own))] for fix, causes in by.items() if len(own := causes & KINDS.keys()) == 1},
    )


def _told(records: Sequence[TrainingRecord], what: str) -> list[float]:
    """A number of each; NaN where there is none."""
    return [math.nan if (value := getattr(record, what)) is None else value for record in records]


def _norm(norms: Sequence[float | None]) -> float | None:
    told = [norm for norm in norms[len(norms) // 10 :] if norm is not None and math.isfinite(norm)]
    return statistics.fmean(told) if told else None


def _variability(losses: Sequence[float | None]) -> float | None:
    told = [loss for loss in losses[len(losses) // 2 :] if loss is not None and math.isfinite(loss)]
    changes = [after - before for before, after in itertools.pairwise(told)]
    return statistics.stdev(changes) / math.sqrt(2) if len(changes) > 1 else None


def _attributions(measured: Measured, by: Mapping[str, frozenset[str]]) -> list[AttributionRecord]:
    return [
        _attribution("accuracy", measured.accuracy, by),
        _attribution("nll", {m: [-x for x in xs] for m, xs in measured.nll.items()}, by),
    ]


def _attribution(metric: str, scores: Mapping[Mended, BySeed], by: Mapping[str, frozenset[str]]) -> AttributionRecord:
    fixes = []
    for fix, mended in by.items():
        brings = claims.by_seed(scores, worth(fix))
        share = claims.share(scores, fix)
        fixes.append(
            FixRecord(
                fix=fix, mends=sorted(mended), brings=number(brings), share=None if share is None else number(share)
            )
        )
    return AttributionRecord.model_validate(
        {
            "metric": metric,
            "gap": number(claims.by_seed(scores, gap)),
            "fixes": fixes,
            "interaction": number(claims.by_seed(scores, interaction)),
        }
    )
