"""A bisection in Markdown: a page with all of it, and text to paste into an upstream issue."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from harness import printable
from harness.bisection.record import Bisection
from harness.verdicts.verdict import DiagnosisRecord
from reports.bisection import told
from reports.markdown import code, escaped, fenced, is_address, table

METHOD = (
    "Measured from outside, by recovering the weight of every token in every optimizer step from Adam's first moment"
    " and a float64 oracle:"
)

FORCED = "Versions that {target} does not ask for itself were put under it all the same."


def page(bisection: Bisection) -> str:
    """A Markdown page with all of it."""
    parts = [
        f"# {escaped(told.title(bisection))}",
        _scenario(bisection),
        fenced("\n".join(told.lines(told.ruler(bisection))), "text"),
        _listed(f"**{letter}** {escaped(told.words(outcome))}" for outcome, letter in told.letters(bisection).items()),
        told.LEGEND,
        "## Changes",
        _change_table(bisection),
        *_causes(bisection),
        "## What was measured",
        _measured_table(bisection),
        *_not_measured(bisection),
        "## Again",
        _commands(bisection.command),
        " ".join(told.footing(bisection)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def issue(bisection: Bisection) -> str:
    """Markdown to paste into an issue of the package that is bisected: one block for each cause."""
    blocks = [_issue(bisection, cause) for cause in told.wrong(bisection)]
    return "\n\n---\n\n".join(blocks) + "\n" if blocks else "Nothing was found to be wrong.\n"


def _change_table(bisection: Bisection) -> str:
    if not bisection.boundaries:
        return escaped(told.no_change(bisection))
    rows = [
        (
            escaped(f"{told.dated(bisection, b.before)} → {told.dated(bisection, b.after)}{told.span(bisection, b)}"),
            escaped(told.words(told.before(b))),
            escaped(told.words(told.after(b))),
            _link("compare", b.compare) if b.compare else escaped(b.told or ""),
        )
        for b in bisection.boundaries
    ]
    guilt = [escaped(f"{b.before} → {b.after}: {line}") for b in bisection.boundaries for line in told.guilt(b)]
    return "\n\n".join(filter(None, [table(("change", "from", "to", "commits"), rows), _listed(guilt)]))


def _causes(bisection: Bisection) -> list[str]:
    found = told.wrong(bisection)
    parts = ["## What is wrong"] if found else []
    for cause in found:
        where = "; ".join(_spoken(bisection, window) for window in told.windows(bisection, cause))
        diagnosis = told.diagnosis(bisection, cause)
        parts += [f"### {escaped(cause)}", escaped(f"Found in {where}.")]
        parts += [escaped(f"{diagnosis.summary}."), _listed(_explained(diagnosis))] if diagnosis else []
    return parts


def _spoken(bisection: Bisection, window: told.Window) -> str:
    first, last = told.dated(bisection, window.first), told.dated(bisection, window.last)
    where = first if window.first == window.last else f"{first} to {last}"
    begins = "where the line begins" if window.first == bisection.order[0] else "before which nothing is known"
    ends = "where the line ends" if window.last == bisection.order[-1] else "after which nothing is known"
    open_ = [*([] if window.before else [begins]), *([] if window.after else [ends])]
    return ", ".join([where, *open_])


def _measured_table(bisection: Bisection) -> str:
    rows = [
        (
            escaped(p.label),
            escaped(p.date or ""),
            escaped(told.words(told.outcome(p))) if p.stable else "inconclusive: its measurements differ",
            f"{p.times}{f' ({p.kept} earlier)' if p.kept else ''}",
            escaped(p.told or p.reason or ""),
        )
        for p in bisection.measured
    ]
    return table(("point", "date", "outcome", "measured", ""), rows)


def _not_measured(bisection: Bisection) -> list[str]:
    parts = []
    if bisection.inferred:
        parts += ["## What was not", _listed(_inferred(bisection))]
        parts += ["A change that is undone among these again would not have been seen; `--all` measures them."]
    if bisection.uninstallable:
        parts += [
            "## What does not install",
            _listed(escaped(f"{p.label}: {p.reason}") for p in bisection.uninstallable),
        ]
    return parts


def _inferred(bisection: Bisection) -> Iterable[str]:
    """Stretches of points that were not measured, and what they are taken for."""
    places = {label: number for number, label in enumerate(bisection.order)}
    for _, stretch in groupby(enumerate(bisection.inferred), key=lambda pair: places[pair[1].label] - pair[0]):
        points = [point for _, point in stretch]
        where = points[0].label if len(points) == 1 else f"{points[0].label} to {points[-1].label} ({len(points)})"
        yield escaped(f"{where}: inferred from both neighbours, {told.words(told.outcome(points[0]))}")


def _issue(bisection: Bisection, cause: str) -> str:
    diagnosis = told.diagnosis(bisection, cause)
    found = told.windows(bisection, cause)
    name = {"underneath": f"{bisection.target} with {bisection.of}", "dates": bisection.target}.get(
        bisection.kind, bisection.of
    )
    where = ", ".join(w.first if w.first == w.last else f"{w.first} to {w.last}" for w in found)
    summary = diagnosis.summary if diagnosis else cause
    example = told.example(bisection, cause)
    rows = [row for window in found for row in _ends(bisection, window)]
    parts = [
        f"## {escaped(f'{name} {where}: {cause}')}",
        escaped(f"{summary}."),
        *(escaped(line) for b in bisection.boundaries for line in told.guilt(b)),
        _scenario(bisection),
        METHOD,
        f"> {escaped(f'{example.label}: {diagnosis.evidence}')}" if diagnosis else "",
        table(("", "point", "date", "outcome", "commits"), rows),
        escaped(FORCED.format(target=bisection.target)) if bisection.kind == "underneath" else "",
        escaped(f"Measured twice, from fresh processes ({bisection.platform})."),
        "To reproduce one of them, and to repeat the bisection, with Lockstep:",
        _commands(example.command or "", bisection.command),
        f"Upstream: {escaped(diagnosis.upstream, linked=True)}" if diagnosis and diagnosis.upstream else "",
        f"Remedy: {escaped(diagnosis.remedy, linked=True)}" if diagnosis and diagnosis.remedy else "",
    ]
    return "\n\n".join(filter(None, parts))


def _ends(bisection: Bisection, window: told.Window) -> list[tuple[str, ...]]:
    """Rows for the last point before, the first and the last with, and the first one after it."""
    by_label = {p.label: p for p in bisection.measured}
    ends = (
        ("last without", window.before.before if window.before else None, None),
        ("first with", window.first, window.before),
        ("last with", window.last, None),
        ("first without", window.after.after if window.after else None, window.after),
    )
    rows: list[tuple[str, ...]] = []
    for what, label, boundary in ends:
        if label is not None:
            point = by_label[label]
            compare = boundary.compare if boundary else None
            link = _link("compare", compare) if compare else escaped(point.told or "")
            release = _link(label, f"{bisection.source}/releases/tag/v{label}") if bisection.source else escaped(label)
            outcome = told.words(told.outcome(point)) + (told.span(bisection, boundary) if boundary else "")
            rows.append((what, release, escaped(point.date or ""), escaped(outcome), link))
    return rows


def _scenario(bisection: Bisection) -> str:
    return (
        f"Scenario {_code(bisection.scenario)}: {escaped(bisection.scenario_told)}" if bisection.scenario_told else ""
    )


def _explained(diagnosis: DiagnosisRecord) -> list[str]:
    """As `told.explained`: the first line is of what was measured, the others of what is known upstream."""
    evidence, *known = told.explained(diagnosis)
    return [escaped(evidence), *(escaped(line, linked=True) for line in known)]


def _commands(*commands: str) -> str:
    return fenced("\n".join(map(printable.line, commands)), "sh")


def _code(text: str) -> str:
    return code(printable.line(text))


def _link(text: str, address: str) -> str:
    """The text alone where it is no address that a page may have."""
    return f"[{escaped(text)}]({address})" if is_address(address) else escaped(text)


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
