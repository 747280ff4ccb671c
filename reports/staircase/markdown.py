"""A staircase in Markdown."""

from __future__ import annotations

from harness.staircase.record import Staircase
from reports.markdown import escaped, fenced, listed, plain_table
from reports.staircase import told


def page(found: Staircase) -> str:
    """All of it but the pictures."""
    parts = [f"# Staircase: {escaped(told.summary(found))}", escaped(told.setting(found))]
    parts += [listed("Effective hyperparameters, as recovered from the first steps", found.effective)]
    parts += [listed("Arms with others", told.differences(found))]
    parts += ["## Arms", plain_table(told.ARMS, told.arms(found))]
    for attribution in found.attributions:
        parts += [f"## Share of the gap in {told.METRICS[attribution.metric]}"]
        parts += [plain_table(told.SHARES, told.shares(attribution))]
    if found.attributions:
        parts += [escaped(told.interval(found))]
        parts += ["Shares are means over all orders in which the fixes can be made, so that they add up."]
    if found.claims:
        parts += ["## The paper's claims", _claims(found)]
    parts += [fenced(found.command, "sh")]
    return "\n\n".join(filter(None, parts)) + "\n"


def _claims(found: Staircase) -> str:
    rows = [(told.claim(one), one.claim, one.measured, one.rule) for one in found.claims]
    return plain_table(("", "claim", "measured", "counts as supported if"), rows)
