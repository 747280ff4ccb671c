"""Relations in Markdown: who keeps which, and the two runs of every pair side by side."""

from __future__ import annotations

from collections.abc import Sequence

from harness import printable
from harness.relations.record import PairRecord, Relations
from reports.markdown import escaped, fenced, listed, plain_table
from reports.relations import told


def page(relations: Relations) -> str:
    """All of it, what is broken first."""
    parts = [f"# Relations: {escaped(told.summary(relations))}", matrix(relations)]
    for state in ("broken", "unknown", "holds"):
        parts += [_pair(pair, relations.sentences[pair.relation]) for pair in told.of(relations, state)]
    parts += [listed("Not run", [*told.refusals(relations), *told.silent(relations)])]
    return "\n\n".join(filter(None, parts)) + "\n"


def matrix(relations: Relations) -> str:
    """A table of relations by releases."""
    releases = told.releases(relations)
    rows = []
    for name in relations.sentences:
        own = [pair for pair in relations.pairs if pair.relation == name]
        squares = (told.square([pair for pair in own if told.release(pair) == release]) for release in releases)
        rows.append([name, *squares])
    return plain_table(["relation", *releases], rows)


def _pair(pair: PairRecord, sentence: str) -> str:
    head = f"## {escaped(f'{told.WORDS[pair.state]}: {pair.relation}, {told.release(pair)} on {pair.base}')}"
    said = [sentence, *filter(None, (pair.reason, told.parted(pair)))]
    rows: list[Sequence[str]] = [("with", *map(told.settings, pair.sides), "")]
    rows += [("by the oracle", *map(told.oracle, pair.sides), ""), *told.rows(pair)]
    sides = [side.scenario for side in pair.sides]
    parts = [head, *map(escaped, said), plain_table(["", *sides, "apart"], rows)]
    if pair.allowed:
        parts.append(escaped(f"Allowed: {pair.allowed}."))
    if pair.worst:
        parts.append(escaped(f"Most different: {', '.join(pair.worst)}."))
    commands = [printable.line(side.command) for side in pair.sides if side.command]
    return "\n\n".join([*parts, *([fenced("\n".join(commands), "sh")] if commands else [])])
