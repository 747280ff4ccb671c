"""What each matrix finds, in Markdown: planted faults, public bugs, false alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from harness import printable
from harness.detection.record import BugRecord, CleanRecord, Detection, FaultRecord, OutcomeRecord, SetRecord, State
from reports.markdown import code, escaped, table

_HEAD = """# What each matrix finds

Made by `lockstep detect`; do not edit. A fault is planted in the torch reference, in cells of a matrix in which it
acts by its own declaration, until one of them is found wrong; next comes the cell in which most of what is not found
yet acts. A cell that is not right without a fault is left out. A public bug is looked for in a release that has it,
cell by cell, in the matrix' order. `named` are the scenarios with names ([scenarios.md](scenarios.md)) but for the
largest; [faults.md](faults.md) says what each fault does, and [findings.md](findings.md) what a finding is.
"""
_STATES: Sequence[State] = ("found", "named otherwise", "missed", "unknown")
_ENOUGH = "These cells find whatever a matrix finds of the faults:"
_PLANTED = """## Planted faults

`1 of 5`: found in the first cell that was tried, of five in which the fault acts, and its own cause is the only one
that is named. `-`: it acts in no cell of that matrix.
"""
_LACKING = """## What a matrix does not hold

Faults that act in no cell of it, by what is so in most of its cells:
"""
_PUBLIC = """## Public bugs of released packages

`3 of 8`: found in the third cell of eight. `-`: the matrix does not show it, and what its cells were instead stands
beside it.
"""


def page(found: Detection) -> str:
    """A page of its own."""
    parts = [_HEAD, *_summary(found), *_planted(found), *_lacking(found), *_public(found), *_clean(found.clean)]
    return "\n".join(parts)


def sentences(found: Detection) -> list[str]:
    """A line for each matrix, and one for each bug."""
    return [*(_sentence(name, found) for name in found.sets), *map(_bug_sentence, found.bugs)]


def _sentence(name: str, found: Detection) -> str:
    states, told = found.states(name), found.sets[name]
    others = ", ".join(f"{count} {state}" for state, count in states.items() if state != "found" and count)
    few = f"{len(told.chosen)} of {told.cells} cells are enough"
    return f"{name}: {states['found']} of {len(found.faults)} faults found{f' ({others})' if others else ''}; {few}"


def _bug_sentence(bug: BugRecord) -> str:
    if bug.why is not None:
        return f"{bug.name}: no scenario can show it: {bug.why}"
    return f"{bug.name}: " + ", ".join(f"{name} {outcome.state}" for name, outcome in bug.outcomes.items())


# ---- faults


def _summary(found: Detection) -> Iterator[str]:
    if not found.sets:
        return
    head = ("matrix", "cells", "faults that act in one", *_STATES, "right without a fault", "cells that are enough")
    yield table(head, (_counted(name, found) for name in found.sets))
    yield f"\n{_ENOUGH}\n"
    for name, told in found.sets.items():
        yield f"- {name}: {', '.join(map(_name, told.chosen)) or 'none'}"
    yield ""


def _counted(name: str, found: Detection) -> list[str]:
    told, states = found.sets[name], found.states(name)
    acting = states.total() - states["acts in none"]
    counts = [states[state] for state in _STATES]
    return [name, str(told.cells), str(acting), *map(str, counts), _right(told), str(len(told.chosen))]


def _right(told: SetRecord) -> str:
    return f"{told.clean.get('pass', 0)} of {sum(told.clean.values())}"


def _planted(found: Detection) -> Iterator[str]:
    if not found.faults:
        return
    yield _PLANTED
    rows = ([_name(f.name), _by(f), *(_cell(f.outcomes[name]) for name in found.sets)] for f in found.faults)
    yield table(("fault", "found by", *found.sets), rows)
    yield ""


def _by(fault: FaultRecord) -> str:
    """Findings, those that most cells have first."""
    counts = Counter(c for outcome in fault.outcomes.values() if outcome.found for c in outcome.found.codes)
    return ", ".join(_name(name) for name, _ in counts.most_common())


def _cell(outcome: OutcomeRecord) -> str:
    if outcome.found is not None:
        other = "" if outcome.found.named else f", named {escaped('; '.join(outcome.found.kinds) or 'nothing')}"
        return f"{outcome.tried} of {outcome.cells}{other}"
    if outcome.state == "acts in none":
        return "-"
    return f"**{outcome.state}** in {outcome.tried}" + (f": {escaped(outcome.reason)}" if outcome.reason else "")


def _lacking(found: Detection) -> Iterator[str]:
    """By matrix, what no cell of it has, and which faults that hides."""
    if not found.faults:
        return
    yield _LACKING
    for name in found.sets:
        reasons: dict[str, list[str]] = {}
        for fault in found.faults:
            outcome = fault.outcomes[name]
            if outcome.state == "acts in none":
                reasons.setdefault(_most(outcome.hidden), []).append(fault.name)
        count = sum(map(len, reasons.values()))
        yield f"### {name}: {count} of {len(found.faults)}\n"
        yield from (f"- {escaped(why)}: {', '.join(map(_name, faults))}" for why, faults in reasons.items())
        yield ""


def _most(reasons: Mapping[str, int]) -> str:
    return max(reasons, key=lambda why: reasons[why], default="there is no cell")


# ---- bugs


def _public(found: Detection) -> Iterator[str]:
    if not found.bugs:
        return
    names = list(dict.fromkeys(name for bug in found.bugs for name in bug.outcomes))
    yield _PUBLIC
    rows = (_bug_row(bug, names) for bug in found.bugs if bug.why is None)
    yield table(("bug", "what is wrong", "release", "found by", *names), rows)
    yield "\nNo scenario can show these:\n"
    yield from (f"- {_name(bug.name)}, {escaped(bug.what)}: {escaped(bug.why)}." for bug in found.bugs if bug.why)
    yield ""


def _bug_row(bug: BugRecord, names: Sequence[str]) -> list[str]:
    cells = (_bug_cell(bug.outcomes[name]) for name in names)
    return [_name(bug.name), escaped(bug.what), _name(bug.release or ""), _bug_by(bug), *cells]


def _bug_by(bug: BugRecord) -> str:
    founds = [outcome.found for outcome in bug.outcomes.values() if outcome.found is not None]
    codes = dict.fromkeys(name for found in founds for name in found.codes)
    return ", ".join(map(_name, codes))


def _bug_cell(outcome: OutcomeRecord) -> str:
    if outcome.found is not None:
        return f"{outcome.tried} of {outcome.cells}: {_name(outcome.found.scenario)}"
    if outcome.state == "unknown":
        return f"unknown: {escaped(outcome.reason or '')}"
    if not outcome.cells:
        return "- (it acts in no cell)"
    parts = [f"{count} {escaped(what)}" for what, count in outcome.instead.items()]
    parts += [f"{outcome.unsupported} unsupported"] if outcome.unsupported else []
    parts += [f"{outcome.unknown} unknown"] if outcome.unknown else []
    return f"- ({', '.join(parts)})"


# ---- clean cells


def _clean(runs: Sequence[CleanRecord]) -> Iterator[str]:
    if not runs:
        return
    whole = sum((Counter(run.verdicts) for run in runs), Counter())
    names = ("pass", "accepted", "fail", "unknown", "unsupported")
    yield "## False alarms\n\nCells of right releases, in which nothing is planted; `fail` is a false alarm.\n"
    rows = [[_name(run.release), *(str(run.verdicts.get(name, 0)) for name in names)] for run in runs]
    yield table(("release", *names), [*rows, ["all", *(str(whole[name]) for name in names)]])
    yield ""


def _name(text: str) -> str:
    """As code, also in a table."""
    return code(printable.line(text).replace("|", "\\|"))
