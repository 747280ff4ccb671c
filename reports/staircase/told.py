"""A staircase in words and in rows of tables, for all of its faces."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from harness.staircase.record import ArmRecord, AttributionRecord, ClaimRecord, Number, Staircase

METRICS = {"accuracy": "exact match", "nll": "held-out NLL"}
ARMS = ("arm", "exact match", "held-out NLL", "gradient norm", "FLOPs", "first steps, by the oracle")
SHARES = ("fix", "mends", "brings", "share of the gap")
SUPPORTED = {True: "supported", False: "NOT SUPPORTED", None: "not to be told"}
LABELLED = {True: "as labelled", False: "NOT AS LABELLED", None: ""}


def summary(found: Staircase) -> str:
    """All of it in a line."""
    seeds = f"{len(found.seeds)} seed{'s' * (len(found.seeds) != 1)}"
    supported = sum(claim.supported is True for claim in found.claims)
    claims = found.missing or f"{supported} of {len(found.claims)} claims supported"
    return f"{len(found.arms)} arms with {seeds}: {claims}"


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


def number(found: Number) -> str:
    """With its interval."""
    if found.low is None or found.high is None:
        return f"{found.mean:.4g}"
    return f"{found.mean:.4g} ({found.low:.3g} to {found.high:.3g})"


def claim(one: ClaimRecord) -> str:
    return SUPPORTED[one.supported]


def setting(found: Staircase) -> str:
    """What was trained, in a sentence."""
    first = found.arms[0]
    return (
        f"Every arm trains a Llama of {found.parameters:,} parameters for {first.steps} steps of {first.rows} rows,"
        f" from the same weights and rows for each seed; {found.held_out} problems are held out."
    )


def interval(found: Staircase) -> str:
    """What the numbers in brackets are."""
    if len(found.seeds) < 2:
        return "There is one seed, so that no number has an interval."
    return f"In brackets the 95 % interval over {len(found.seeds)} seeds, by Student's t."


def differences(found: Staircase) -> list[str]:
    """Of effective hyperparameters."""
    return [
        f"{one.arm} has another {one.what}: {one.has}, where {one.reference} has {one.wanted}"
        for one in found.differences
    ]
