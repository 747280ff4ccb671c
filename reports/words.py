"""The words that every report says a verdict in."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from harness.verdicts.verdict import CellRecord, DiagnosisRecord, DistanceRecord, FindingRecord, Outcome, Side, Verdict

WORDS: Mapping[Outcome, str] = {
    "fail": "FAIL",
    "unknown": "unknown",
    "accepted": "accepted",
    "pass": "pass",
    "unsupported": "unsupported",
}
"""Worst first."""

SIDES: Mapping[Side, str] = {
    "right": "right by the oracle",
    "wrong": "wrong by the oracle",
    "fed otherwise": "fed with other inputs than the scenario's",
    "unjudged": "not judged by the oracle",
}


ADDRESS = re.compile(r"https://[A-Za-z0-9/._#?=%&+~:@,-]*[A-Za-z0-9/#=]")
"""What a page may make a link of, where it is of what is known upstream."""
FOREIGN = "much of the gradient comes from something other than the batch's own tokens"
MOST_SPANS = 6
"""Stretches of a row that are told one by one."""


# ---- cells that are told together


def of(verdict: Verdict, outcome: Outcome) -> list[CellRecord]:
    return [cell for cell in verdict.cells if cell.verdict == outcome]


def alike(cells: Iterable[CellRecord], key: Callable[[CellRecord], Hashable]) -> list[list[CellRecord]]:
    """Cells with one key together, in the order in which the keys first come."""
    groups: dict[Hashable, list[CellRecord]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    return list(groups.values())


def fail_key(cell: CellRecord) -> Hashable:
    """Failing cells of one framework with one cause have one key."""
    if cell.diagnoses:
        return cell.framework, tuple((d.cause, d.summary) for d in cell.diagnoses)
    return cell.framework, tuple(dict.fromkeys(f.code for f in cell.findings))


def reason_key(cell: CellRecord) -> Hashable:
    """Cells of one framework with one reason have one key."""
    return cell.framework, cell.reason


def cannot(verdict: Verdict) -> list[str]:
    """What releases cannot express, and why: `NAME==VERSION on SCENARIO, SCENARIO: REASON` for each reason."""
    groups = alike(of(verdict, "unsupported"), reason_key)
    return [f"{where(cells)}: {cells[0].reason or 'no reason is given'}" for cells in groups]


def where(cells: Iterable[CellRecord]) -> str:
    """`NAME==VERSION on SCENARIO, SCENARIO; NAME==VERSION on SCENARIO`."""
    releases = alike(cells, lambda c: c.version)
    return "; ".join(f"{r[0].framework}=={r[0].version} on {scenarios(r)}" for r in releases)


def scenarios(cells: Iterable[CellRecord]) -> str:
    seeds: dict[str, list[int]] = {}
    for cell in cells:
        seeds.setdefault(cell.scenario, []).append(cell.seed)
    return ", ".join(
        name if numbers == [0] else f"{name} ({counted('seed', numbers)})" for name, numbers in seeds.items()
    )


def not_asked(cell: CellRecord) -> str:
    """What could not be asked of a cell, which its verdict says nothing of."""
    return f"could not be asked of this run: {'; '.join(cell.open or ())}"


def open_questions(verdict: Verdict) -> list[str]:
    """`NAME==VERSION on SCENARIO: could not be asked ...` for cells with open questions, those alike together."""
    groups = alike((cell for cell in verdict.cells if cell.open), lambda c: (c.framework, *(c.open or ())))
    return [f"{where(cells)}: {not_asked(cells[0])}" for cells in groups]


def in_short(cell: CellRecord) -> str:
    """What a cell without room for more says of itself; empty where there is nothing to say."""
    said = [d.summary for d in cell.diagnoses] or [f.message for f in cell.findings][:1]
    return cell.reason or " ".join(said)


# ---- diagnoses and findings


def explained(diagnosis: DiagnosisRecord, before: DiagnosisRecord | None) -> str:
    """How much a diagnosis explains, beside the one told before it, and on what numbers that rests."""
    explains = "explains" if before is None else "with the above, explains"
    # Causes of one kind rest on the same numbers: told once.
    evidence = "" if before is not None and before.evidence == diagnosis.evidence else f"; {diagnosis.evidence}"
    return f"{explains} {share(diagnosis.explains)} of the deviation{evidence}"


def collapsed(findings: Sequence[FindingRecord]) -> list[str]:
    """Each code once, with the steps it was found at."""
    steps: dict[str, list[int]] = {}
    for finding in findings:
        steps.setdefault(finding.code, []).extend([] if finding.step is None else [finding.step])
    return [f"{code} ({counted('step', numbers)})" if numbers else code for code, numbers in steps.items()]


# ---- frameworks against each other


def apart(distance: DistanceRecord) -> str:
    when = "by the names of their tensors" if distance.parted < 0 else f"at step {distance.parted}"
    return (
        f"they part {when}; gradients there {distance.gradient:.2g} of their length apart, parameters at the end"
        f" {distance.parameters:.2g} apart ({distance.drift:.2g} of the way moved)"
    )


def spans(found: Sequence[tuple[int, int, float]] | None) -> str:
    """Stretches of tokens and what each token of them weighs."""
    if found is None:
        return "-"
    if len(found) > MOST_SPANS:
        weights = [weight for _, _, weight in found]
        return f"{len(found)} weights of {min(weights):.3g} to {max(weights):.3g} ({found[0][0]}-{found[-1][1]})"
    told = [f"{weight:.3g} ({a})" if a == b else f"{weight:.3g} ({a}-{b})" for a, b, weight in found]
    return ", ".join(told) if told else "0"


def release(name: str) -> str:
    """`FRAMEWORK==VERSION` of a cell's name."""
    return name.partition("/")[0]


# ---- numbers and commands


def counts(verdict: Verdict) -> dict[Outcome, int]:
    """Cells by verdict, worst first; only those that there are."""
    found = Counter(c.verdict for c in verdict.cells)
    return {outcome: found[outcome] for outcome in WORDS if found[outcome]}


def missing(verdict: Verdict) -> str | None:
    """Why a run is not to be taken as right even if no cell is wrong; None where there is no such reason."""
    if not verdict.complete:
        so_far = "it goes on, or was interrupted" if verdict.cells else "nothing was run so far"
        return f"the run is not complete: {so_far}"
    if not verdict.cells:
        return "nothing was run: the run holds no cell"
    if all(cell.verdict == "unsupported" for cell in verdict.cells):
        return "nothing was measured: no release can express its scenario"
    return None


def sentence(text: str) -> str:
    """With a capital letter, and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def more_cells(count: int) -> str:
    return f"{count} more cell{'' if count == 1 else 's'}"


def cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"


def counted(noun: str, numbers: Iterable[int]) -> str:
    """`step 2`, `steps 0-2, 5`."""
    ordered = sorted(set(numbers))
    starts = [i for i, n in enumerate(ordered) if i == 0 or n != ordered[i - 1] + 1]
    runs = [ordered[a:b] for a, b in zip(starts, [*starts[1:], len(ordered)], strict=True)]
    text = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"{noun if len(ordered) == 1 else plural(noun)} {text}"


def plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("ch") else f"{noun}s"


def share(value: float) -> str:
    """A percentage, rounded down so that 100 % is said of the whole alone (or of all but a billionth)."""
    return f"{math.floor(value * 1000 + 1e-6) / 10:g} %"


def quoted(word: str) -> str:
    """In single quotes if a shell would read anything into it."""
    plain = all(c.isalnum() or c in "-_./=,+:@%" for c in word)
    return word if plain and word else "'" + word.replace("'", "'\\''") + "'"
