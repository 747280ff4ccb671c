"""What a configuration says, for people: as lines for a terminal, and in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.validation.record import KeyRecord, Plan, Word
from reports.markdown import escaped, table

ORDER: Sequence[Word] = ("unknown to this release", "not covered", "swapped", "shrunk", "kept", "no effect on the step")
"""Of the words, what a reader should see first."""
NOTHING = "Nothing was run."
NOTHING_ELSE = "Nothing else was run."


def lines(plan: Plan) -> Iterator[str]:
    """For a terminal."""
    yield f"{plan.started_by}: {_held(plan)}"
    if plan.captured:
        yield f"  captured: {plan.captured}"
    for said in plan.refused:
        yield f"  would not start: {said}"
    for said in plan.missing:
        yield f"  not given: {said}"
    for said in plan.known:
        yield f"  known: {said}"
    for said in plan.odd:
        yield f"  look at this: {said}"
    yield from ("", "the effective step, as configured")
    width = max(len(part.what) for part in plan.step)
    for part in plan.step:
        yield f"  {part.what:<{width}}  {part.configured}"
        yield f"  {'':<{width}}    by {part.by}"
    yield from ("", "learning rate")
    width = max((len(rate.at) for rate in plan.rates), default=0)
    yield from (f"  {rate.at:<{width}}  {rate.rate:.6g}" for rate in plan.rates)
    yield from ("", f"the ledger: {counts(plan)}")
    for word in ORDER:
        yield from (f"  {_row(row)}" for row in plan.ledger if row.word == word)
    if plan.not_covered:
        yield from ("", "not covered by any check")
        yield from (f"  {said}" for said in plan.not_covered)
    yield from ("", "what would run")
    yield from (f"  {said}" for said in plan.run)
    yield from ("", _ran(plan))


def _ran(plan: Plan) -> str:
    return NOTHING_ELSE if plan.captured else NOTHING


def _held(plan: Plan) -> str:
    if plan.release is None:
        return "no table has its options, so that none is said to be unknown"
    below = f", on {plan.below}" if plan.below else ""
    where = f"pinned in {plan.pinned_in}" if plan.pinned_in else None
    if plan.asked is None:
        told = "; ".join(filter(None, ["assumed", where, "--versions says others"]))
        return f"options of {plan.release}{below} ({told})"
    nearest = "" if plan.asked == plan.release else f", of those that are known the nearest to {plan.asked}"
    return f"options of {plan.release}{nearest}{below}" + (f" ({where})" if where else "")


def counts(plan: Plan) -> str:
    """How many keys have which word."""
    found = Counter(row.word for row in plan.ledger)
    told = ", ".join(f"{found[word]} {word}" for word in ORDER if word in found)
    return f"{len(plan.ledger)} keys: {told}" if told else "no keys"


def _row(row: KeyRecord) -> str:
    word = f"{row.word} {row.value} -> {row.to}" if row.to is not None else row.word
    value = "" if row.to is not None else f" = {row.value}"
    why = f" ({row.why})" if row.why else ""
    return f"{row.key}{value}: {word}{why}  [{row.source}]"


def page(plan: Plan) -> str:
    """In Markdown."""
    parts = [
        f"# Configuration: {escaped(plan.started_by)}",
        escaped(_held(plan)),
        *([f"**Captured:** {escaped(plan.captured)}"] if plan.captured else []),
        *(f"**Would not start:** {escaped(said)}" for said in plan.refused),
        *(f"**Not given:** {escaped(said)}" for said in plan.missing),
        *(f"**Known:** {escaped(said)}" for said in plan.known),
        *(f"**Look at this:** {escaped(said)}" for said in plan.odd),
        "## The effective step, as configured",
        table(
            ["", "as configured", "by"], [[part.what, escaped(part.configured), escaped(part.by)] for part in plan.step]
        ),
        table(["learning rate", ""], [[escaped(rate.at), f"{rate.rate:.6g}"] for rate in plan.rates]),
        f"## The ledger\n\n{counts(plan)}",
        table(
            ["key", "value", "", "why", "in"],
            [_cells(row) for word in ORDER for row in plan.ledger if row.word == word],
        ),
        *(
            ["## Not covered by any check", "\n".join(f"- {escaped(said)}" for said in plan.not_covered)]
            if plan.not_covered
            else []
        ),
        "## What would run",
        "\n".join(f"- {escaped(said)}" for said in plan.run),
        _ran(plan),
    ]
    return "\n\n".join(parts) + "\n"


def _cells(row: KeyRecord) -> list[str]:
    word = f"{row.word} -> {escaped(row.to)}" if row.to is not None else row.word
    return [escaped(row.key), escaped(row.value), word, escaped(row.why or ""), escaped(row.source)]
