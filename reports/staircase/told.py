"""A staircase in words and in rows of tables, for all of its faces."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from harness.staircase.record import ArmRecord, AttributionRecord, Staircase
from reports import claims
from reports.claims import number

METRICS = {"accuracy": "exact match", "nll": "held-out NLL"}
ARMS = ("arm", "exact match", "held-out NLL", "gradient norm", "FLOPs", "first steps, by the oracle")
SHARES = ("fix", "mends", "brings", "share of the gap")
LABELLED = {True: "as labelled", False: "NOT AS LABELLED", None: ""}


def summary(found: Staircase) -> str:
    """All of it in a line."""
    seeds = f"{len(found.seeds)} seed{'s' * (len(found.seeds) != 1)}"
    return f"{len(found.arms)} arms with {seeds}: {found.missing or claims.summary(found.claims)}"


def arms(found: Staircase) -> list[tuple[str, ...]]:
    """A row for each arm, as the paper's Table 2 has one: mean and standard deviation over the seeds."""
    return [_arm(arm) for arm in found.arms]


def _arm(arm: ArmRecord) -> tuple[str, ...]:
    done = [one for one in arm.trainings if one.state == "trained"]
    labelled = f"{LABELLED[arm.as_labelled]}: {arm.weighed}" if arm.as_labelled is not None else arm.weighed
    if not done:
        reason = next((one.reason for one in arm.trainings if one.reason), "not trained")
        state = next((one.state for one in arm.trainings), "unknown")
        return arm.label, state, "-", "-", "-", reason
    return (
        arm.label,
        spread([100 * one.accuracy for one in done if one.accuracy is not None], "{:.1f} %"),
        spread([one.nll for one in done if one.nll is not None], "{:.4f}"),
        spread([one.norm for one in done if one.norm is not None], "{:.3f}"),
        "-" if arm.flops is None else f"{arm.flops:.2e}".replace("+", ""),
        labelled,
    )


def spread(numbers: Sequence[float], shape: str) -> str:
    """Mean and standard deviation; of one number, itself. Of what is not finite there is nothing to tell."""
    if not numbers or not all(map(math.isfinite, numbers)):
        return "-"
    mean = shape.format(statistics.fmean(numbers))
    return mean if len(numbers) < 2 else f"{mean} ± {shape.format(statistics.stdev(numbers))}"


def shares(attribution: AttributionRecord) -> Iterator[tuple[str, ...]]:
    """A row for each fix, one for what they bring together beyond that, and one for all."""
    for fix in attribution.fixes:
        part = "no gap" if fix.share is None else number(fix.share)
        yield fix.fix, " and ".join(fix.mends) or "nothing that is found", number(fix.brings), part
    yield "interaction", "", number(attribution.interaction), ""
    yield "all of the gap", "", number(attribution.gap), ""


def setting(found: Staircase) -> str:
    """What was trained, in a sentence."""
    first = found.arms[0]
    return (
        f"Every arm trains a Llama of {found.parameters:,} parameters for {first.steps} steps of {first.rows} rows,"
        f" from the same weights and rows for each seed; {found.held_out} problems are held out."
    )


def differences(found: Staircase) -> list[str]:
    """Of effective hyperparameters."""
    return [
        f"{one.arm} has another {one.what}: {one.has}, where {one.reference} has {one.wanted}"
        for one in found.differences
    ]
