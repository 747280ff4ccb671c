"""A configuration in Markdown: its plan, and what came of it with the verdict first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness import printable
from harness.validation.record import CauseRecord, KeyRecord, Plan, RunRecord, Validation
from reports.markdown import SIGNS, escaped, fenced, table
from reports.validation import told


def page(found: Plan | Validation) -> str:
    parts = _plan(found) if isinstance(found, Plan) else _validation(found)
    return "\n\n".join(part for part in parts if part) + "\n"


def _plan(plan: Plan) -> Iterator[str]:
    yield from _head(plan)
    yield f"## {told.STEP.capitalize()}"
    yield from _tables(plan)
    yield from _listed("Not covered by any check", plan.not_covered)
    yield from _listed("What would run", plan.run)
    yield told.ran(plan)


def _validation(found: Validation) -> Iterator[str]:
    yield f"# {SIGNS[found.outcome]} {escaped(found.verdict)}: {escaped(found.plan.started_by)}"
    yield told.summary(found)
    for cause in found.causes:
        yield from _cause(cause)
    yield _list(told.collapsed(found.findings))
    yield from list(_head(found.plan))[1:]
    yield f"## {(told.BESIDE if found.runs else told.STEP).capitalize()}"
    yield from _tables(found.plan)
    yield from _listed("Not covered by any check", found.not_covered)
    yield "## What ran"
    if found.environment:
        yield f"{escaped(found.environment)} {found.where}, with {escaped(told.packages(found))}."
    if found.model:
        yield f"{escaped(found.model)}."
    yield "" if found.runs else told.NOTHING
    for run in found.runs:
        yield from _run(run)
    yield from _listed(
        f"Changed so that it runs {found.where}", [f"{shim.name}: {shim.reason}" for shim in found.shims]
    )
    yield "## Again"
    yield fenced(printable.line(found.command), "sh")


def _head(plan: Plan) -> Iterator[str]:
    yield f"# Configuration: {escaped(plan.started_by)}"
    yield escaped(told.held(plan))
    yield f"**Captured:** {escaped(plan.captured)}" if plan.captured else ""
    yield from (f"**Would not start:** {escaped(said)}" for said in plan.refused)
    yield from (f"**Not given:** {escaped(said)}" for said in plan.missing)
    yield from (f"**Known:** {escaped(said)}" for said in plan.known)
    yield from (f"**Look at this:** {escaped(said)}" for said in plan.odd)


def _tables(plan: Plan) -> Iterator[str]:
    seen = any(part.recovered is not None for part in plan.step)
    heads = ["", "as configured", *(["as recovered"] if seen else []), "by"]
    rows = []
    for part in plan.step:
        mark = f"**{told.DIFFERS}:** " if part.differs else ""
        beside = [f"{mark}{escaped(part.recovered or '-')}"] if seen else []
        rows.append([escaped(part.what), escaped(part.configured), *beside, escaped(part.by)])
    yield table(heads, rows)
    yield table(["learning rate", ""], [[escaped(rate.at), f"{rate.rate:.6g}"] for rate in plan.rates])
    yield f"## The ledger\n\n{told.counts(plan)}"
    rows = [_cells(row) for rows in told.by_word(plan).values() for row in rows]
    yield table(["key", "value", "", "why", "in"], rows)


def _cells(row: KeyRecord) -> list[str]:
    word = f"{row.word} -> {escaped(row.to)}" if row.to is not None else row.word
    return [escaped(row.key), escaped(row.value), word, escaped(row.why or ""), escaped(row.source)]


def _run(run: RunRecord) -> Iterator[str]:
    yield f"### {escaped(run.says)}"
    unknown = [f"unknown: {said}" for said in run.unknown]
    yield _list([*run.sentences, *unknown, *([f"not finished: {run.reason}"] if run.reason else [])])


def _cause(cause: CauseRecord) -> Iterator[str]:
    yield f"**{escaped(cause.cause)}**: {escaped(cause.says)}"
    known = (("upstream", cause.upstream), ("remedy", cause.remedy), ("evidence", cause.evidence))
    yield "\n".join(f"- {what}: {escaped(said, linked=what == 'upstream')}" for what, said in known if said)


def _listed(title: str, sentences: Sequence[str]) -> list[str]:
    return [f"## {title}", _list(sentences)] if sentences else []


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(said)}" for said in sentences)
