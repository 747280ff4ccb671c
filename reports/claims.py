"""Claims of papers, held against what was measured, and numbers over seeds: in words, for every face."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from harness.seeds import ClaimRecord, Number
from reports.markdown import plain_table

SUPPORTED = {True: "supported", False: "NOT SUPPORTED", None: "cannot be told"}
HEAD = ("", "claim", "measured", "counts as supported if")


def summary(claims: Sequence[ClaimRecord]) -> str:
    """How many of them hold."""
    return f"{sum(claim.supported is True for claim in claims)} of {len(claims)} claims supported"


def claim(one: ClaimRecord) -> str:
    return SUPPORTED[one.supported]


def number(found: Number) -> str:
    """With its interval."""
    if found.low is None or found.high is None:
        return f"{found.mean:.4g}"
    return f"{found.mean:.4g} ({found.low:.3g} to {found.high:.3g})"


def interval(seeds: int) -> str:
    """What the numbers in brackets are."""
    if seeds < 2:
        return "There is one seed, so that no number has an interval."
    return f"In brackets the 95 % interval over {seeds} seeds, by Student's t."


def in_markdown(claims: Sequence[ClaimRecord]) -> str:
    return plain_table(HEAD, [(claim(one), one.claim, one.measured, one.rule) for one in claims])


def at_terminal(claims: Sequence[ClaimRecord], console: Console) -> None:
    for one in claims:
        style = "green" if one.supported else "yellow"
        console.print(Text.assemble((f"{claim(one):<15}", style), one.claim), soft_wrap=True)
        console.print(Text(f"               {one.measured}", "dim"), soft_wrap=True)
