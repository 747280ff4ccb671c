"""What every face of a bisection says: its ruler, its changes, what is wrong where. From `bisect.json` alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from string import ascii_uppercase

from harness.bisection.record import Bisection, BoundaryRecord, InferredPoint, MeasuredPoint
from harness.bisection.search import Outcome
from harness.verdicts.verdict import DiagnosisRecord

UNINSTALLABLE, SILENT, UNTOLD = "-", "?", "."
LEGEND = (
    f"CAPITAL measured, small inferred from both neighbours, {UNINSTALLABLE} does not install,"
    f" {SILENT} measured but tells nothing, {UNTOLD} not measured"
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
    return bool(telling(bisection)) and not any(b.inconclusive for b in bisection.boundaries)


def words(outcome: Outcome) -> str:
    """An outcome in a few words."""
    plain = {"pass": "right", "unsupported": "cannot express the scenario", "unknown": "crashes or cannot be judged"}
    return "; ".join(outcome.causes) if outcome.verdict == "fail" else plain.get(outcome.verdict, outcome.verdict)


def ruler(bisection: Bisection) -> str:
    """One mark for each point, oldest first."""
    letter = letters(bisection)
    marks = dict.fromkeys(bisection.order, UNTOLD)
    marks |= {p.label: UNINSTALLABLE for p in bisection.uninstallable}
    marks |= {p.label: SILENT for p in bisection.measured}
    marks |= {p.label: letter[outcome(p)] for p in telling(bisection)}
    marks |= {p.label: letter[outcome(p)].lower() for p in bisection.inferred}
    return "".join(marks[label] for label in bisection.order)


def windows(bisection: Bisection, cause: str) -> list[Window]:
    """Where a cause is found, by what was measured."""
    found = []
    for has_it, stretch in groupby(telling(bisection), key=lambda p: cause in p.causes):
        if has_it:
            points = list(stretch)
            first, last = points[0].label, points[-1].label
            before = next((b for b in bisection.boundaries if b.after == first), None)
            after = next((b for b in bisection.boundaries if b.before == last), None)
            found.append(Window(first, last, before, after))
    return found


def title(bisection: Bisection) -> str:
    """What was bisected, from where to where."""
    of = {
        "underneath": f"{bisection.of} under {bisection.target}",
        "dates": f"{bisection.target} and what is under it",
    }.get(bisection.kind, bisection.of)
    span = f"{dated(bisection, bisection.order[0])} to {dated(bisection, bisection.order[-1])}"
    patched = f", patched by {bisection.patch}" if bisection.patch else ""
    what = {"releases": "releases", "underneath": "releases", "dates": "steps", "commits": "commits"}[bisection.kind]
    count = len(bisection.order)
    return f"{of} on {bisection.scenario}{patched}: {count} {what}, {span}"


def telling(bisection: Bisection) -> list[MeasuredPoint]:
    """Points that something is concluded from."""
    return [p for p in bisection.measured if p.stable and p.verdict in ("pass", "fail", "unsupported")]


def silent(bisection: Bisection) -> list[str]:
    """Points that were measured and tell nothing, with the reason."""
    told = telling(bisection)
    return [
        f"{p.label}: {(p.reason or words(outcome(p))) if p.stable else 'its measurements differ'}"
        for p in bisection.measured
        if p not in told
    ]


def outcome(point: Point) -> Outcome:
    return Outcome(point.verdict, tuple(point.causes))


def letters(bisection: Bisection) -> dict[Outcome, str]:
    """Outcomes in the order in which they first come, each with its letter."""
    outcomes = dict.fromkeys(outcome(p) for p in telling(bisection))
    return {each: ascii_uppercase[i % len(ascii_uppercase)] for i, each in enumerate(outcomes)}


def lines(marks: str) -> list[str]:
    """A ruler in pieces that fit on a page."""
    return [marks[i : i + RULER] for i in range(0, len(marks), RULER)]


def dated(bisection: Bisection, label: str) -> str:
    """A point's label with its date."""
    points: list[Point] = [*bisection.measured, *bisection.inferred, *bisection.uninstallable]
    date = next((p.date for p in points if p.label == label), None)
    return f"{label} ({date})" if date and date != label else label


def no_change(bisection: Bisection) -> str:
    """What to say where there is no boundary."""
    found = telling(bisection)
    if not found:
        tried = len(bisection.measured) + len(bisection.uninstallable)
        more = "; --all tries the others" if tried < len(bisection.order) else ""
        return f"nothing was found out: none of the {tried} points that were tried tells anything{more}"
    where = found[0].label if len(found) == 1 else f"{found[0].label} to {found[-1].label}"
    return f"no change was found: {where}, as far as it was measured, is {words(outcome(found[0]))}"


def before(boundary: BoundaryRecord) -> Outcome:
    return Outcome(boundary.verdict_before, tuple(boundary.causes_before))


def after(boundary: BoundaryRecord) -> Outcome:
    return Outcome(boundary.verdict_after, tuple(boundary.causes_after))


def span(bisection: Bisection, boundary: BoundaryRecord) -> str:
    """What to say of a boundary that is a range."""
    if not boundary.between:
        return ""
    known = {p.label for p in [*bisection.measured, *bisection.uninstallable]}
    silent = sum(label in known for label in boundary.between)
    said = [f"{silent} between tell nothing"] if silent else []
    said += [f"{len(boundary.between) - silent} between were not measured"] if silent < len(boundary.between) else []
    return f" ({', '.join([*said, *(['inconclusive'] if boundary.inconclusive else [])])})"


def guilt(boundary: BoundaryRecord) -> list[str]:
    """With dates: the packages that bring a change; else nothing."""
    if not boundary.guilty:
        return []
    lead = "one of these brings it" if len(boundary.guilty) > 1 else "what brings it"
    if boundary.alone is None:
        return [f"{lead}: {', '.join(boundary.guilty)}"]
    same = outcome(boundary.alone) == after(boundary)
    how = "that is enough" if same else f"that gives: {words(outcome(boundary.alone))}"
    alone = f"swapped alone, with the packages that it needs, into the older environment, {how}"
    return [f"{lead}: {', '.join(boundary.guilty)}; {alone}"]


def wrong(bisection: Bisection) -> list[str]:
    """Every cause that was found, the oldest first."""
    return list(dict.fromkeys(cause for p in telling(bisection) for cause in p.causes))


def diagnosis(bisection: Bisection, cause: str) -> DiagnosisRecord | None:
    """What the judge said of a cause; None where it had only findings."""
    return next((d for d in example(bisection, cause).diagnoses if d.kind == cause), None)


def example(bisection: Bisection, cause: str) -> MeasuredPoint:
    """The first point with this cause and the fewest others."""
    return min((p for p in telling(bisection) if cause in p.causes), key=lambda p: len(p.causes))


def explained(diagnosis: DiagnosisRecord) -> list[str]:
    """The evidence, and what is known upstream."""
    said = [diagnosis.evidence]
    said += [f"upstream: {diagnosis.upstream}"] if diagnosis.upstream else []
    return [*said, *([f"remedy: {diagnosis.remedy}"] if diagnosis.remedy else [])]


def footing(bisection: Bisection) -> list[str]:
    """What it cost, and whether it is finished."""
    total, ran, changes = len(bisection.order), len(bisection.measured), len(bisection.boundaries)
    twice = sum(p.times > 1 for p in bisection.measured)
    kept, all_ = sum(p.kept for p in bisection.measured), sum(p.times for p in bisection.measured)
    inferred, bad = len(bisection.inferred), len(bisection.uninstallable)
    rest = total - ran - inferred - bad if bisection.complete else 0
    bound = f", for which at most {bisection.allowed} may be measured" if ran <= bisection.allowed else ""
    said = (
        f"{ran} of {total} measured, {twice} of them twice ({kept} of the {all_} measurements known from earlier);"
        f" {inferred} inferred, {bad} do not install{f', {rest} not measured' if rest else ''};"
        f" {changes} change{'' if changes == 1 else 's'} found{bound}; {bisection.seconds:.0f} s."
    )
    if bisection.complete:
        return [said]
    return [said, f"Not finished: about {bisection.left} measurements are left."]
