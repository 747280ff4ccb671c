"""What options of frameworks do to an objective: in Markdown, and at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

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
MARK = r"\*"
_ALIKE = """## Which settings make the same update

Releases in one group made the same update of the same rows, within noise, with the settings above; those of other
groups did not. Marked with `*` is who differs from what is published, by the tables above: where a scenario clips the
gradient, a wrong scale is hidden by it, so that the update may be right all the same.
"""


def markdown(found: Objectives) -> str:
    """All tables: what each objective is in each release, and who made the same update."""
    parts = [part for one in found.objectives for part in _objective(one, found)]
    return "\n".join([*parts, *_same(found)]) + "\n"


def _objective(one: ObjectiveRecord, found: Objectives) -> Iterator[str]:
    name = label(one.scenario, one.seed)
    own = [release for release in found.releases if release.scenario == name]
    yield f"## {code(name)}\n"
    yield from (f"- {escaped(sentence)}" for sentence in one.published)
    yield ""
    yield table(("release", "weights", "how they differ, or why not"), _rows(own))
    yield ""
    for written, by in dict.fromkeys((tuple(r.options), r.named_by) for r in own if r.options):
        yield f"By the names of {escaped(by or '')}: " + ", ".join(map(code, written)) + "\n"


def _rows(releases: Sequence[ReleaseRecord]) -> Iterator[list[str]]:
    """Those of which the same is said in one row, who equals it first."""
    alike: dict[tuple[str, str], list[str]] = {}
    for release in sorted(releases, key=lambda r: list(WORDS).index(r.verdict)):
        alike.setdefault((WORDS[release.verdict], why(release)), []).append(_name(release))
    yield from ([", ".join(map(code, names)), said, escaped(more)] for (said, more), names in alike.items())


def _name(release: ReleaseRecord) -> str:
    return f"{release.framework}=={release.version}"


def why(release: ReleaseRecord) -> str:
    """In a sentence, empty where there is nothing to say."""
    if release.reason:
        return release.reason
    return "; ".join(release.differs) or ", ".join(release.codes)


def _same(found: Objectives) -> Iterator[str]:
    if not found.alike:
        return
    yield _ALIKE
    wrong = {(r.scenario, _name(r)) for r in found.releases if WORDS[r.verdict] == "differs"}
    most = max(len(one.groups) for one in found.alike)
    head = ("objective", *(f"group {number + 1}" for number in range(most)))
    yield table(head, (_groups(one, most, wrong) for one in found.alike))


def _groups(one: AlikeRecord, most: int, wrong: AbstractSet[tuple[str, str]]) -> list[str]:
    told = [
        f"{', '.join(_marked(name, (one.scenario, name) in wrong) for name in group.members)}: {SIDES[group.side]}"
        for group in one.groups
    ]
    if not told:
        told = [escaped(one.reason or "")]
    return [code(one.scenario), *told, *[""] * (most - len(told))]


def _marked(name: str, wrong: bool) -> str:
    return code(name) + (MARK if wrong else "")


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
    name, more = _name(release), why(release)
    text = Text.assemble(
        f"    {name:<22}", (WORDS[release.verdict], STYLES[release.verdict]), f": {more}" if more else ""
    )
    console.print(text, soft_wrap=True)


def _told(alike: AlikeRecord, console: Console) -> None:
    groups = ["same update: " + ", ".join(group.members) for group in alike.groups if len(group.members) > 1]
    for line in groups or ([alike.reason] if alike.reason else []):
        console.print(Text(f"    {line}"), soft_wrap=True)
