"""A bisection for people: at a terminal, as a page, and as text for an upstream issue. From `bisect.json` alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import ascii_uppercase

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.bisection.record import Bisection, BoundaryRecord, InferredPoint, MeasuredPoint
from harness.bisection.search import Verdict
from harness.verdict import DiagnosisRecord

UNINSTALLABLE, SILENT, UNTOLD = "-", "?", "."
LEGEND = (
    f"CAPITAL measured, small inferred from both neighbours, {UNINSTALLABLE} does not install,"
    f" {SILENT} measured but tells nothing, {UNTOLD} not measured"
)
METHOD = (
    "Measured from outside, by recovering the weight of every token in every optimizer step from Adam's first moment"
    " and a float64 oracle:"
)
RULER = 80
"""Marks of a ruler to a line."""

Point = MeasuredPoint | InferredPoint


@dataclass(frozen=True)
class Window:
    """A stretch of a line that one cause is found in."""

    first: str
    last: str
    before: BoundaryRecord | None
    """The change that it begins with; None if the line begins with it."""
    after: BoundaryRecord | None


def told(bisection: Bisection) -> bool:
    """Whether anything was found out, and nothing about it is inconclusive."""
    return bool(_telling(bisection)) and not any(b.inconclusive for b in bisection.boundaries)


def words(verdict: Verdict, causes: Sequence[str]) -> str:
    """An outcome in a few words."""
    if verdict == "fail":
        return "; ".join(causes)
    plain = {"pass": "right", "unsupported": "cannot express the scenario", "unknown": "crashes or cannot be judged"}
    return plain.get(verdict, verdict)


def ruler(bisection: Bisection) -> str:
    """One mark for each point, oldest first."""
    letters = _letters(bisection)
    marks = dict.fromkeys(bisection.order, UNTOLD)
    marks |= {p.label: UNINSTALLABLE for p in bisection.uninstallable}
    marks |= {p.label: letters[_outcome(p)].lower() for p in bisection.inferred}
    marks |= {p.label: letters[_outcome(p)] if p in _telling(bisection) else SILENT for p in bisection.measured}
    return "".join(marks[label] for label in bisection.order)


def show(bisection: Bisection, console: Console) -> None:
    """Print the ruler, every change, what it means and what was measured for it."""
    console.print(Text(_title(bisection), "bold"))
    console.print()
    for line in _lines(ruler(bisection)):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print()
    for outcome, letter in _letters(bisection).items():
        style = {"pass": "green", "fail": "bold red"}.get(outcome[0], "yellow")
        console.print(Padding(Text.assemble((letter, style), "  ", words(*outcome)), (0, 0, 0, 2)))
    console.print(Padding(Text(LEGEND, "dim"), (0, 0, 1, 2)))
    _changes(bisection, console)
    for diagnosis in _diagnoses(bisection):
        console.print(Padding(Text(diagnosis.summary), (1, 0, 0, 0)))
        for said in _explained(diagnosis):
            console.print(Padding(Text(said), (0, 0, 0, 2)))
    console.print()
    for line in _footing(bisection):
        console.print(Text(line), soft_wrap=True)


def page(bisection: Bisection) -> str:
    """A Markdown page with all of it."""
    parts = [
        f"# {_title(bisection)}",
        f"Scenario `{bisection.scenario}`: {bisection.scenario_told}" if bisection.scenario_told else "",
        "```text\n" + "\n".join(_lines(ruler(bisection))) + "\n```",
        _listed(f"**{letter}** {words(*outcome)}" for outcome, letter in _letters(bisection).items()),
        LEGEND,
        "## Changes",
        _change_table(bisection),
        *_causes(bisection),
        "## What was measured",
        _measured_table(bisection),
        *_not_measured(bisection),
        "## Again",
        f"```sh\n{bisection.command}\n```",
        " ".join(_footing(bisection)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def issue(bisection: Bisection) -> str:
    """Markdown to paste into an issue of the package that is bisected: one block for each cause."""
    blocks = [_issue(bisection, cause) for cause in _wrong(bisection)]
    return "\n\n---\n\n".join(blocks) + "\n" if blocks else "Nothing was found to be wrong.\n"


def windows(bisection: Bisection, cause: str) -> list[Window]:
    """Where a cause is found, by what was measured."""
    found = []
    told = _telling(bisection)
    for wrong, stretch in groupby(told, key=lambda p: cause in p.causes):
        if wrong:
            points = list(stretch)
            first, last = points[0].label, points[-1].label
            before = next((b for b in bisection.boundaries if b.after == first), None)
            after = next((b for b in bisection.boundaries if b.before == last), None)
            found.append(Window(first, last, before, after))
    return found


def _title(bisection: Bisection) -> str:
    under = f" under {bisection.target}" if bisection.kind in ("underneath", "dates") else ""
    span = f"{_dated(bisection, bisection.order[0])} to {_dated(bisection, bisection.order[-1])}"
    patched = f", patched by {bisection.patch}" if bisection.patch else ""
    what = {"releases": "releases", "underneath": "releases", "dates": "steps", "commits": "commits"}[bisection.kind]
    count = len(bisection.order)
    return f"{bisection.of}{under} on {bisection.scenario}{patched}: {count} {what}, {span}"


def _telling(bisection: Bisection) -> list[MeasuredPoint]:
    return [p for p in bisection.measured if p.stable and p.verdict in ("pass", "fail", "unsupported")]


def _outcome(point: Point) -> tuple[Verdict, tuple[str, ...]]:
    return point.verdict, tuple(point.causes)


def _letters(bisection: Bisection) -> dict[tuple[Verdict, tuple[str, ...]], str]:
    """Outcomes in the order in which they first come, each with its letter."""
    outcomes = dict.fromkeys(_outcome(p) for p in _telling(bisection))
    return {outcome: ascii_uppercase[i % 26] for i, outcome in enumerate(outcomes)}


def _lines(marks: str) -> list[str]:
    return [marks[i : i + RULER] for i in range(0, len(marks), RULER)]


def _dates(bisection: Bisection) -> dict[str, str]:
    points: list[Point] = [*bisection.measured, *bisection.inferred, *bisection.uninstallable]
    return {p.label: p.date for p in points if p.date and p.date != p.label}


def _dated(bisection: Bisection, label: str) -> str:
    date = _dates(bisection).get(label)
    return f"{label} ({date})" if date else label


def _changes(bisection: Bisection, console: Console) -> None:
    if not bisection.boundaries:
        console.print(Text(_no_change(bisection)))
        return
    table = Table("change", "from", "to", box=None, pad_edge=False, header_style="bold")
    for b in bisection.boundaries:
        table.add_row(
            f"{_dated(bisection, b.before)} -> {_dated(bisection, b.after)}{_range(b)}",
            words(b.verdict_before, b.causes_before),
            words(b.verdict_after, b.causes_after),
        )
    console.print(table)
    for line in _guilt(bisection):
        console.print(Text(line))


def _no_change(bisection: Bisection) -> str:
    found = _telling(bisection)
    if not found:
        return "nothing was found out: no point of the line tells anything"
    return f"no change was found: all that was measured is {words(found[0].verdict, found[0].causes)}"


def _range(boundary: BoundaryRecord) -> str:
    if not boundary.between:
        return ""
    said = f"{len(boundary.between)} between tell nothing"
    return f" ({said}{', inconclusive' if boundary.inconclusive else ''})"


def _guilt(bisection: Bisection) -> list[str]:
    if not bisection.guilty:
        return []
    swaps = ", ".join(bisection.guilty)
    how = {
        True: "alone is enough",
        False: "is not enough alone: it takes others before it",
        None: "alone tells nothing",
    }
    plural = "one of these brings" if len(bisection.guilty) > 1 else "what brings"
    return [f"{plural} the change: {swaps}; swapped into the older environment it {how[bisection.alone]}"]


def _change_table(bisection: Bisection) -> str:
    if not bisection.boundaries:
        return _no_change(bisection)
    rows = [
        (
            f"{_dated(bisection, b.before)} → {_dated(bisection, b.after)}{_range(b)}",
            words(b.verdict_before, b.causes_before),
            words(b.verdict_after, b.causes_after),
            f"[compare]({b.compare})" if b.compare else "",
        )
        for b in bisection.boundaries
    ]
    return "\n\n".join([_table(("change", "from", "to", "commits"), rows), *_guilt(bisection)])


def _wrong(bisection: Bisection) -> list[str]:
    return list(dict.fromkeys(cause for p in _telling(bisection) for cause in p.causes))


def _diagnosis(bisection: Bisection, cause: str) -> DiagnosisRecord | None:
    return next((d for d in _example(bisection, cause).diagnoses if d.kind == cause), None)


def _example(bisection: Bisection, cause: str) -> MeasuredPoint:
    """The first point with this cause and the fewest others."""
    return min((p for p in _telling(bisection) if cause in p.causes), key=lambda p: len(p.causes))


def _diagnoses(bisection: Bisection) -> list[DiagnosisRecord]:
    return [d for cause in _wrong(bisection) if (d := _diagnosis(bisection, cause)) is not None]


def _explained(diagnosis: DiagnosisRecord) -> list[str]:
    said = [diagnosis.evidence]
    said += [f"upstream: {diagnosis.upstream}"] if diagnosis.upstream else []
    return [*said, *([f"remedy: {diagnosis.remedy}"] if diagnosis.remedy else [])]


def _causes(bisection: Bisection) -> list[str]:
    found = _wrong(bisection)
    parts = ["## What is wrong"] if found else []
    for cause in found:
        where = "; ".join(_spoken(bisection, window) for window in windows(bisection, cause))
        diagnosis = _diagnosis(bisection, cause)
        parts += [f"### {cause}", f"Found in {where}."]
        parts += [f"{diagnosis.summary}.", _listed(_explained(diagnosis))] if diagnosis else []
    return parts


def _spoken(bisection: Bisection, window: Window) -> str:
    first, last = _dated(bisection, window.first), _dated(bisection, window.last)
    where = first if window.first == window.last else f"{first} to {last}"
    begun = "" if window.before else ", where the line begins"
    return f"{where}{begun}{'' if window.after else ', where the line ends'}"


def _measured_table(bisection: Bisection) -> str:
    rows = [
        (
            p.label,
            p.date or "",
            words(*_outcome(p)) if p.stable else "inconclusive: its measurements differ",
            f"{p.times}{' (kept from earlier)' if p.kept else ''}",
            p.told or p.reason or "",
        )
        for p in bisection.measured
    ]
    return _table(("point", "date", "outcome", "measured", ""), rows)


def _not_measured(bisection: Bisection) -> list[str]:
    parts = []
    if bisection.inferred:
        parts += ["## What was not", _listed(_inferred(bisection))]
        parts += ["A change that is undone among these again would not have been seen; `--all` measures them."]
    if bisection.uninstallable:
        parts += ["## What does not install", _listed(f"{p.label}: {p.reason}" for p in bisection.uninstallable)]
    return parts


def _inferred(bisection: Bisection) -> Iterable[str]:
    """Stretches of points that were not measured, and what they are taken for."""
    places = {label: number for number, label in enumerate(bisection.order)}
    for _, stretch in groupby(enumerate(bisection.inferred), key=lambda pair: places[pair[1].label] - pair[0]):
        points = [point for _, point in stretch]
        where = points[0].label if len(points) == 1 else f"{points[0].label} to {points[-1].label} ({len(points)})"
        yield f"{where}: inferred from both neighbours, {words(*_outcome(points[0]))}"


def _footing(bisection: Bisection) -> list[str]:
    total, ran, changes = len(bisection.order), len(bisection.measured), len(bisection.boundaries)
    twice = sum(p.times > 1 for p in bisection.measured)
    kept = sum(p.kept for p in bisection.measured)
    said = (
        f"{ran} of {total} measured ({twice} of them twice, {kept} known from earlier),"
        f" {len(bisection.inferred)} inferred, {len(bisection.uninstallable)} do not install;"
        f" at most {bisection.allowed} may be measured to find {changes} change{'' if changes == 1 else 's'};"
        f" {bisection.seconds:.0f} s."
    )
    if bisection.complete:
        return [said]
    return [said, f"Not finished: about {bisection.left} measurements are left."]


def _issue(bisection: Bisection, cause: str) -> str:
    diagnosis = _diagnosis(bisection, cause)
    found = windows(bisection, cause)
    name = f"{bisection.target} with {bisection.of}" if bisection.kind == "underneath" else bisection.of
    summary = diagnosis.summary if diagnosis else cause
    example = _example(bisection, cause)
    rows = [row for window in found for row in _ends(bisection, window)]
    parts = [
        f"## {name} {found[-1].first} to {found[-1].last}: {cause}",
        f"{summary}.",
        f"Scenario `{bisection.scenario}`: {bisection.scenario_told}" if bisection.scenario_told else "",
        METHOD,
        f"> {example.label}: {diagnosis.evidence}" if diagnosis else "",
        _table(("", "release", "date", "outcome", "commits"), rows),
        f"Measured twice, from fresh processes ({bisection.platform}).",
        "To reproduce one of them, and to repeat the bisection, with Lockstep:",
        f"```sh\n{example.command or ''}\n{bisection.command}\n```",
        f"Upstream: {diagnosis.upstream}" if diagnosis and diagnosis.upstream else "",
        f"Until then: {diagnosis.remedy}" if diagnosis and diagnosis.remedy else "",
    ]
    return "\n\n".join(filter(None, parts))


def _ends(bisection: Bisection, window: Window) -> list[tuple[str, ...]]:
    """Rows for the last point before, the first and the last with, and the first one after it."""
    by_label = {p.label: p for p in bisection.measured}
    told = (
        ("last without", window.before.before if window.before else None, None),
        ("first with", window.first, window.before),
        ("last with", window.last, None),
        ("first without", window.after.after if window.after else None, window.after),
    )
    rows: list[tuple[str, ...]] = []
    for what, label, boundary in told:
        if label is not None:
            point = by_label[label]
            link = f"[compare]({boundary.compare})" if boundary and boundary.compare else ""
            rows.append((what, label, point.date or "", words(*_outcome(point)), link))
    return rows


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
