"""A mismatch in Markdown."""

from __future__ import annotations

from harness.mismatch.record import Mismatch
from reports.markdown import escaped, fenced, listed, plain_table
from reports.mismatch import told


def page(found: Mismatch) -> str:
    """All of it."""
    parts = [f"# Mismatch: {escaped(told.summary(found))}", escaped(told.setting(found))]
    parts += [listed("Ways", told.ways(found)), listed("Not measured", told.unknown(found))]
    parts += ["## What rounding the parameters does by itself", plain_table(told.ROUNDINGS, told.roundings(found))]
    parts += ["## Each against float64 at the parameters that it had", plain_table(told.RUNS, told.runs(found))]
    parts += ["## Trainer against engine", escaped(told.ESTIMATORS), plain_table(told.PAIRS, told.pairs(found))]
    parts += ["## A trainer in float32", plain_table(told.PAIRS, told.pairs(found, alike=False))]
    parts += ["## What is said of it", _claims(found), fenced(found.command, "sh")]
    return "\n\n".join(filter(None, parts)) + "\n"


def _claims(found: Mismatch) -> str:
    rows = [(told.claim(one), one.claim, one.source, one.measured, one.rule) for one in found.claims]
    return plain_table(("", "claim", "of", "measured", "counts as supported if"), rows)
