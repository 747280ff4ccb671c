"""A configuration at a terminal: what a plan says in full, and what came of it with the verdict last.

Colour only repeats what words say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from harness import printable
from harness.validation.record import CauseRecord, Plan, RunRecord, Validation, Word
from reports.terminal import STYLES
from reports.validation import told

BAD, DOUBTFUL = STYLES["fail"], STYLES["unknown"]
NOTED: Sequence[Word] = ("unknown to this release", "not covered")
"""Words of the ledger that are coloured."""


def show(found: Plan | Validation, console: Console) -> None:
    """Print it. Lines are left for the terminal to wrap, so that they can be copied."""
    for line in _plan(found) if isinstance(found, Plan) else _validation(found):
        console.print(_harmless(line), soft_wrap=True)


def _harmless(line: Text) -> Text:
    """Parts that are harmless may make a command of a CI job's log together; such a line has no colour."""
    shown = printable.printable(line.plain)
    return line if shown == line.plain else Text(shown)


def _plan(plan: Plan) -> Iterator[Text]:
    yield from _head(plan)
    yield from _titled(told.STEP)
    yield from _step(plan)
    yield from _ledger(plan, told.ORDER)
    yield from _listed("not covered by any check", plan.not_covered)
    yield from _listed("what would run", plan.run)
    yield from (Text(), Text(told.ran(plan)))


def _validation(found: Validation) -> Iterator[Text]:
    yield from _head(found.plan)
    if found.environment:
        yield Text(f"  ran {found.environment} {found.where}, with {told.packages(found)}")
    if found.model:
        yield Text(f"  {found.model}")
    yield from _titled(told.BESIDE if found.runs else told.STEP)
    yield from _step(found.plan)
    yield from _ledger(found.plan, [word for word in told.ORDER if word not in told.QUIET])
    if any(row.word in told.QUIET for row in found.plan.ledger):
        yield Text("  each key: --out DIR, or --format markdown", "dim")
    yield from _listed("not covered by any check", found.not_covered)
    for run in found.runs:
        yield from _run(run)
    if found.causes or found.findings:
        yield from _titled("what is wrong")
    for cause in found.causes:
        yield from _cause(cause)
    for line in told.collapsed(found.findings):
        code, _, said = line.partition("  ")
        yield Text.assemble("  ", (code, BAD), f"  {said}")
    yield from (Text(), Text(found.verdict, STYLES[found.outcome]))


def _head(plan: Plan) -> Iterator[Text]:
    yield Text.assemble((plan.started_by, "bold"), f": {told.held(plan)}")
    if plan.captured:
        yield Text(f"  captured: {plan.captured}")
    for said in plan.refused:
        yield Text.assemble("  ", ("would not start", BAD), f": {said}")
    for word, sentences in (("not given", plan.missing), ("known", plan.known), ("look at this", plan.odd)):
        for said in sentences:
            yield Text.assemble("  ", (word, DOUBTFUL), f": {said}")


def _titled(title: str) -> Iterator[Text]:
    yield from (Text(), Text(title, "bold"))


def _listed(title: str, sentences: Sequence[str]) -> Iterator[Text]:
    if sentences:
        yield from _titled(title)
        yield from (Text(f"  {said}") for said in sentences)


def _step(plan: Plan) -> Iterator[Text]:
    width = max((len(part.what) for part in plan.step), default=0)
    for part in plan.step:
        yield Text(f"  {part.what:<{width}}  {part.configured}")
        if part.recovered is not None:
            mark = (f"{told.DIFFERS}: ", BAD) if part.differs else "recovered: "
            yield Text.assemble(f"  {'':<{width}}  ", mark, part.recovered)
        yield Text(f"  {'':<{width}}    by {part.by}")
    yield from _titled("learning rate")
    width = max((len(rate.at) for rate in plan.rates), default=0)
    yield from (Text(f"  {rate.at:<{width}}  {rate.rate:.6g}") for rate in plan.rates)


def _ledger(plan: Plan, words: Sequence[Word]) -> Iterator[Text]:
    """Those keys that have one of these words; the others are counted."""
    yield from _titled(f"the ledger: {told.counts(plan)}")
    for word, rows in told.by_word(plan).items():
        if word in words:
            yield from (Text(f"  {told.row(row)}", DOUBTFUL if word in NOTED else "") for row in rows)


def _run(run: RunRecord) -> Iterator[Text]:
    yield from _titled(run.says)
    yield from (Text(f"  {said}") for said in run.sentences)
    yield from (Text.assemble("  ", ("unknown", DOUBTFUL), f": {said}") for said in run.unknown)
    if run.reason:
        yield Text.assemble("  ", ("not finished", DOUBTFUL), f": {run.reason}")


def _cause(cause: CauseRecord) -> Iterator[Text]:
    yield Text.assemble("  ", (cause.cause, BAD), f": {cause.says}")
    if cause.upstream:
        yield Text(f"    upstream: {cause.upstream}")
    if cause.remedy:
        yield Text(f"    remedy: {cause.remedy}")
