"""Trainings with a mismatch in words and in rows of tables, for all of their faces."""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy.record import ArmRecord, Experiment
from harness.seeds import Number
from reports import claims

EXPLAINED = ("name", "what it is")
ARMS = ("mismatch", "correction", "final reward", "less exact rollouts", "sampled in the end", "k3_kl", "chi2_seq")


def summary(found: Experiment) -> str:
    """All of it in a line."""
    seeds = f"{len(found.seeds)} seed{'s' * (len(found.seeds) != 1)}"
    if found.missing:
        return (
            f"{len(found.missing)} trainings are missing, so that nothing is concluded; the first: {found.missing[0]}"
        )
    return f"{len(found.arms)} arms with {seeds}: {claims.summary(found.claims)}"


def setting(found: Experiment) -> str:
    """What was trained, in some sentences."""
    begun = "" if found.begun_with is None else f", from a reward of {claims.number(found.begun_with)} on"
    return (
        f"Every arm trains a policy of {found.parameters:,} parameters for {found.steps} steps of {found.rows}"
        f" responses{begun}; the final reward is that of {found.judged} responses of the trained policy itself,"
        f" sampled exactly. {claims.interval(len(found.seeds))}"
    )


def explained(found: Experiment) -> Iterator[tuple[str, str]]:
    """What kinds of mismatches and corrections are."""
    for what, names in (("mismatch", found.kinds), ("correction", found.corrections)):
        yield from ((f"{what} {name}", said) for name, said in names.items())


def arms(found: Experiment) -> Iterator[tuple[str, ...]]:
    """A row for each arm."""
    for arm in found.arms:
        exact = arm.kind == "exact"
        yield (
            label(arm),
            arm.correction,
            claims.number(arm.final),
            "" if exact else claims.number(arm.less),
            claims.number(arm.sampled),
            small(arm.measures["k3_kl"]),
            small(arm.measures["chi2_seq"]),
        )


def label(arm: ArmRecord) -> str:
    return f"{arm.kind} {arm.size}".strip()


def small(number: Number) -> str:
    """A mean that may be of any size."""
    return f"{number.mean:.2g}"
