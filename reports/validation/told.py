"""The words that every report says a validation in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.validation.record import FindingRecord, KeyRecord, Plan, Validation, Word

ORDER: Sequence[Word] = ("unknown to this release", "not covered", "swapped", "shrunk", "kept", "no effect on the step")
"""Of the words, what a reader should see first."""
QUIET: Sequence[Word] = ("kept", "no effect on the step")
"""Those of keys that a run has as they are: told in short."""
STEP = "the effective step, as configured"
BESIDE = "the effective step, as configured, and as recovered from what ran"
NOTHING = "Nothing was run."
NOTHING_ELSE = "Nothing else was run."
DIFFERS = "differs"


def held(plan: Plan) -> str:
    """Which release's options it is held against."""
    if plan.release is None:
        return "no table has its options, so that none is said to be unknown"
    below = f", on {plan.below}" if plan.below else ""
    where = f"pinned in {plan.pinned_in}" if plan.pinned_in else None
    if plan.asked is None:
        told = "; ".join(filter(None, ["assumed", where, "--versions says others"]))
        return f"options of {plan.release}{below} ({told})"
    nearest = "" if plan.asked == plan.release else f", of those that are known the nearest to {plan.asked}"
    return f"options of {plan.release}{nearest}{below}" + (f" ({where})" if where else "")


def ran(plan: Plan) -> str:
    """What a plan runs."""
    return NOTHING_ELSE if plan.captured else NOTHING


def counts(plan: Plan) -> str:
    """How many keys have which word."""
    found = Counter(row.word for row in plan.ledger)
    told = ", ".join(f"{found[word]} {word}" for word in ORDER if word in found)
    return f"{len(plan.ledger)} keys: {told}" if told else "no keys"


def by_word(plan: Plan) -> Mapping[Word, Sequence[KeyRecord]]:
    """The ledger, by its words, as far as keys have them."""
    found = {word: [row for row in plan.ledger if row.word == word] for word in ORDER}
    return {word: rows for word, rows in found.items() if rows}


def row(found: KeyRecord) -> str:
    """A line of the ledger."""
    word = f"{found.word} {found.value} -> {found.to}" if found.to is not None else found.word
    value = "" if found.to is not None else f" = {found.value}"
    why = f" ({found.why})" if found.why else ""
    return f"{found.key}{value}: {word}{why}  [{found.source}]"


def packages(found: Validation) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.packages.items())


def collapsed(findings: Sequence[FindingRecord]) -> list[str]:
    """Each code once, with its first message and how many more there are."""
    first: dict[str, str] = {}
    for finding in findings:
        first.setdefault(finding.code, finding.message)
    more = Counter(finding.code for finding in findings)
    return [f"{c}  {said}{f' (and {more[c] - 1} more)' if more[c] > 1 else ''}" for c, said in first.items()]


def summary(found: Validation) -> str:
    """What the verdict says, in a sentence."""
    if found.outcome == "fail" and found.plan.refused:
        return "The framework would not start with this configuration, so that nothing was run."
    if found.outcome == "fail":
        return "A step is not what this configuration says."
    if found.outcome == "unknown":
        return "What a step of this configuration is could not be told, or not all of it."
    steps = sum(len(run.steps) for run in found.runs)
    return f"Nothing that was checked in {steps} recorded steps is otherwise than this configuration says."
