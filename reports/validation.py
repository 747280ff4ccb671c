"""What a configuration says, for people: as lines for a terminal, and in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.validation.record import CauseRecord, KeyRecord, Plan, Validation, Word
from reports.markdown import escaped, table

ORDER: Sequence[Word] = ("unknown to this release", "not covered", "swapped", "shrunk", "kept", "no effect on the step")
"""Of the words, what a reader should see first."""
NOTHING = "Nothing was run."
NOTHING_ELSE = "Nothing else was run."


def lines(plan: Plan) -> Iterator[str]:
    """For a terminal."""
    yield from _head(plan)
    yield from ("", "the effective step, as configured", *_step(plan), *_keys(plan))
    if plan.not_covered:
        yield from ("", "not covered by any check")
        yield from (f"  {said}" for said in plan.not_covered)
    yield from ("", "what would run")
    yield from (f"  {said}" for said in plan.run)
    yield from ("", _ran(plan))


def validated_lines(found: Validation) -> Iterator[str]:
    """For a terminal, the verdict last."""
    yield from _head(found.plan)
    if found.environment:
        yield f"  ran {found.environment} on a CPU, with {_packages(found)}"
    if found.model:
        yield f"  {found.model}"
    title = "the effective step, as configured, and as recovered from what ran" if found.runs else STEP
    yield from ("", title, *_step(found.plan), *_keys(found.plan))
    if found.not_covered:
        yield from ("", "not covered by any check")
        yield from (f"  {said}" for said in found.not_covered)
    for run in found.runs:
        yield from ("", run.says)
        yield from (f"  {said}" for said in run.sentences)
        yield from (f"  unknown: {said}" for said in run.unknown)
        if run.reason:
            yield f"  not finished: {run.reason}"
    if found.causes:
        yield from ("", "what is wrong")
        yield from (line for cause in found.causes for line in _cause(cause))
        yield from (f"  {each.code}  {each.message}" for each in found.findings)
    yield from ("", found.verdict)


STEP = "the effective step, as configured"


def _head(plan: Plan) -> Iterator[str]:
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


def _step(plan: Plan) -> Iterator[str]:
    width = max(len(part.what) for part in plan.step)
    for part in plan.step:
        yield f"  {part.what:<{width}}  {part.configured}"
        if part.recovered is not None:
            yield f"  {'':<{width}}  recovered: {part.recovered}"
        yield f"  {'':<{width}}    by {part.by}"
    yield from ("", "learning rate")
    width = max((len(rate.at) for rate in plan.rates), default=0)
    yield from (f"  {rate.at:<{width}}  {rate.rate:.6g}" for rate in plan.rates)


def _keys(plan: Plan) -> Iterator[str]:
    yield from ("", f"the ledger: {counts(plan)}")
    for word in ORDER:
        yield from (f"  {_row(row)}" for row in plan.ledger if row.word == word)


def _packages(found: Validation) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.packages.items())


def _cause(cause: CauseRecord) -> Iterator[str]:
    yield f"  {cause.cause}: {cause.says}"
    if cause.upstream:
        yield f"    {cause.upstream}"
    if cause.remedy:
        yield f"    {cause.remedy}"


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
    return _joined(
        [
            *_top(plan),
            f"## {STEP.capitalize()}",
            *_tables(plan),
            *_plain(plan.not_covered),
            "## What would run",
            _list(plan.run),
            _ran(plan),
        ]
    )


def validated_page(found: Validation) -> str:
    """In Markdown, the verdict first."""
    ran = [f"Ran {escaped(found.environment)} on a CPU, with {escaped(_packages(found))}."] if found.environment else []
    causes = [part for cause in found.causes for part in _cause_page(cause)]
    runs = [
        part
        for run in found.runs
        for part in (f"### {escaped(run.says)}", _list([*run.sentences, *run.unknown, *filter(None, [run.reason])]))
    ]
    return _joined([
        *_top(found.plan), f"**{escaped(found.verdict)}**", *causes, *ran,
        *([escaped(found.model) + "."] if found.model else []), "## The effective step", *_tables(found.plan),
        *(["## What ran", *runs] if runs else []), *_plain(found.not_covered),
        *([f"Changed so that it runs on a CPU: {escaped(', '.join(shim.name for shim in found.shims))}."]
          if found.shims else []),
        "## Again", f"    {found.command}",
    ])  # fmt: skip


def _top(plan: Plan) -> list[str]:
    return [
        f"# Configuration: {escaped(plan.started_by)}",
        escaped(_held(plan)),
        *([f"**Captured:** {escaped(plan.captured)}"] if plan.captured else []),
        *(f"**Would not start:** {escaped(said)}" for said in plan.refused),
        *(f"**Not given:** {escaped(said)}" for said in plan.missing),
        *(f"**Known:** {escaped(said)}" for said in plan.known),
        *(f"**Look at this:** {escaped(said)}" for said in plan.odd),
    ]


def _tables(plan: Plan) -> list[str]:
    seen = any(part.recovered is not None for part in plan.step)
    heads = ["", "as configured", *(["as recovered"] if seen else []), "by"]
    rows = [
        [part.what, escaped(part.configured), *([escaped(part.recovered or "-")] if seen else []), escaped(part.by)]
        for part in plan.step
    ]
    return [
        table(heads, rows),
        table(["learning rate", ""], [[escaped(rate.at), f"{rate.rate:.6g}"] for rate in plan.rates]),
        f"## The ledger\n\n{counts(plan)}",
        table(
            ["key", "value", "", "why", "in"],
            [_cells(row) for word in ORDER for row in plan.ledger if row.word == word],
        ),
    ]


def _plain(sentences: Sequence[str]) -> list[str]:
    return ["## Not covered by any check", _list(sentences)] if sentences else []


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(said)}" for said in sentences)


def _cause_page(cause: CauseRecord) -> list[str]:
    more = [escaped(said) for said in (cause.upstream, cause.remedy) if said]
    return [f"**{cause.cause}**: {escaped(cause.says)}", *more]


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def write(found: Validation, out: Path) -> None:
    """`validation.json` and `validation.md` into a folder."""
    (out / "validation.json").write_text(found.model_dump_json(by_alias=True, indent=1) + "\n")
    (out / "validation.md").write_text(validated_page(found))


def _cells(row: KeyRecord) -> list[str]:
    word = f"{row.word} -> {escaped(row.to)}" if row.to is not None else row.word
    return [escaped(row.key), escaped(row.value), word, escaped(row.why or ""), escaped(row.source)]
