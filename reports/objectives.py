"""What options of frameworks do to an objective: in Markdown, and at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from harness.translating.record import AlikeRecord, ObjectiveRecord, Objectives, ReleaseRecord
from harness.verdicts.verdict import Outcome, label
from reports.markdown import code, escaped, table

STYLES: dict[Outcome, str] = {
    "pass": "green",
    "fail": "bold red",
    "accepted": "magenta",
    "unknown": "yellow",
    "unsupported": "dim",
}
WORDS: dict[Outcome, str] = {
    "pass": "equals it",
    "fail": "differs",
    "accepted": "differs",
    "unknown": "unknown",
    "unsupported": "cannot say it",
}
SIDES = {
    "right": "as published",
    "wrong": "not as published",
    "fed otherwise": "of other tokens",
    "unjudged": "unjudged",
}
_ALIKE = """## Which settings make the same update

Releases in one group made the same update of the same rows, within noise, with the settings above; those of other
groups did not.
"""


def markdown(found: Objectives) -> str:
    """All tables: what each objective is in each release, and who made the same update."""
    parts = [part for one in found.objectives for part in _objective(one, found)]
    return "\n".join([*parts, *_same(found.alike)]) + "\n"


def _objective(one: ObjectiveRecord, found: Objectives) -> Iterator[str]:
    name = label(one.scenario, one.seed)
    own = [release for release in found.releases if release.scenario == name]
    yield f"## {code(name)}\n"
    yield from (f"- {escaped(sentence)}" for sentence in one.published)
    yield ""
    yield table(("release", "weights", "how they differ, or why not"), map(_row, own))
    yield ""
    for written, by in dict.fromkeys((tuple(r.options), r.named_by) for r in own if r.options):
        yield f"By the names of {escaped(by or '')}: " + ", ".join(map(code, written)) + "\n"


def _row(release: ReleaseRecord) -> list[str]:
    return [code(f"{release.framework}=={release.version}"), WORDS[release.verdict], escaped(why(release))]


def why(release: ReleaseRecord) -> str:
    """In a sentence, empty where there is nothing to say."""
    if release.reason:
        return release.reason
    return "; ".join(release.differs) or ", ".join(release.codes)


def _same(alike: Sequence[AlikeRecord]) -> Iterator[str]:
    if not alike:
        return
    yield _ALIKE
    most = max((len(one.groups) for one in alike), default=0)
    head = ("objective", *(f"group {number + 1}" for number in range(most)))
    yield table(head, (_groups(one, most) for one in alike))


def _groups(one: AlikeRecord, most: int) -> list[str]:
    told = [f"{', '.join(map(code, group.members))}: {SIDES[group.side]}" for group in one.groups]
    if not told:
        told = [escaped(one.reason or "")]
    return [code(one.scenario), *told, *[""] * (most - len(told))]


def show(found: Objectives, console: Console) -> None:
    """Objective by objective, a line for each release."""
    for one in found.objectives:
        name = label(one.scenario, one.seed)
        console.print(Text(name, "bold"))
        for sentence in one.published:
            console.print(Text(f"  {sentence}"), soft_wrap=True)
        for release in found.releases:
            if release.scenario == name:
                _line(release, console)
        for alike in found.alike:
            if alike.scenario == name:
                _told(alike, console)
        console.print()


def _line(release: ReleaseRecord, console: Console) -> None:
    name, more = f"{release.framework}=={release.version}", why(release)
    text = Text.assemble(
        f"    {name:<22}", (WORDS[release.verdict], STYLES[release.verdict]), f": {more}" if more else ""
    )
    console.print(text, soft_wrap=True)


def _told(alike: AlikeRecord, console: Console) -> None:
    groups = ["same update: " + ", ".join(group.members) for group in alike.groups if len(group.members) > 1]
    for line in groups or ([alike.reason] if alike.reason else []):
        console.print(Text(f"    {line}"), soft_wrap=True)
