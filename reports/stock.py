"""Stock installs in Markdown: how many days each framework was wrong for, and every release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from harness.stock.record import STATES, FrameworkRecord, ReleaseRecord, Stock
from harness.verdicts.verdict import Outcome
from reports.markdown import escaped

BEGIN, END = "<!-- lockstep stock: begin -->", "<!-- lockstep stock: end -->"

WORDS: dict[Outcome, str] = {"pass": "right", "fail": "wrong", "accepted": "wrong", "unsupported": "unsupported"}


class NoPlace(Exception):
    """A page has no place for the table; the message is one line."""


def put(table: str, page: str) -> str:
    """The page with what stands between its markers replaced. Raises NoPlace."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlace(f"it has no two lines {BEGIN} and {END}; put them where the table shall stand")
    return f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{after}"


def page(stock: Stock) -> str:
    """A page of its own."""
    return f"# Stock installs, {stock.first} to {stock.last}\n\n{table(stock)}"


def sentences(stock: Stock) -> list[str]:
    """The number, for each framework."""
    return [_sentence(framework, stock) for framework in stock.frameworks]


def _sentence(framework: FrameworkRecord, stock: Stock) -> str:
    days = framework.days(stock.scenarios)
    others = ", ".join(f"{state} on {days[state]}" for state in days if state != "wrong")
    return f"{framework.name}: silently wrong on {days['wrong']} of {stock.days} days" + (
        f" ({others})" if others else ""
    )


def table(stock: Stock) -> str:
    """Both tables: days by framework, and the releases, neighbours that did the same in one line."""
    return "\n".join([*_days(stock), "", *(line for f in stock.frameworks for line in _releases(f, stock))])


def _days(stock: Stock) -> Iterator[str]:
    yield f"Days from {stock.first} to {stock.last} ({stock.days}) on which the newest release was wrong:"
    yield ""
    yield _row(
        "framework",
        *map(escaped, stock.scenarios),
        "any of them",
        "right on all it can run",
        "not measured",
        "no verdict",
    )
    yield _row(*["---"] * (len(stock.scenarios) + 5))
    for framework in stock.frameworks:
        each = [framework.days([name])["wrong"] for name in stock.scenarios]
        days = framework.days(stock.scenarios)
        rest = days["right"] + days["unsupported"], days["not measured"] + days["no release"], days["unknown"]
        yield _row(escaped(framework.name), *map(str, each), f"**{days['wrong']}**", *map(str, rest))


def _releases(framework: FrameworkRecord, stock: Stock) -> Iterator[str]:
    yield f"### {escaped(framework.name)}"
    yield ""
    under = [name for name in _UNDER if any(name in release.underneath for release in framework.releases)]
    yield _row("release", "came out", "days", *under, *map(escaped, stock.scenarios))
    yield _row(*["---"] * (3 + len(under) + len(stock.scenarios)))
    newest_first = reversed(framework.releases)
    for cells, alike in groupby(newest_first, lambda release: _cells(release, stock.scenarios)):
        found = list(alike)[::-1]
        versions = _span([r.version for r in found]) + (f" ({len(found)})" if len(found) > 1 else "")
        days = str(sum(r.days for r in found))
        below = [_span([r.underneath[name] for r in found if name in r.underneath]) for name in under]
        yield _row(escaped(versions), _span([str(r.released) for r in found]), days, *map(escaped, below), *cells)
    yield ""


_UNDER = ("transformers", "accelerate", "deepspeed")


def _cells(release: ReleaseRecord, scenarios: Sequence[str]) -> tuple[str, ...]:
    if not release.covered:
        return ("no recipe",) * len(scenarios)
    return tuple(_cell(release, name) for name in scenarios)


def _cell(release: ReleaseRecord, scenario: str) -> str:
    outcome = release.outcomes.get(scenario)
    if outcome is None:
        return STATES[None]
    if outcome.verdict in ("fail", "accepted"):
        return f"**{escaped('; '.join(outcome.kinds) or 'wrong')}**"
    return WORDS.get(outcome.verdict, outcome.verdict)


def _span(values: Sequence[str]) -> str:
    """First and last, or the one."""
    return "" if not values else values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
