"""Datasets that are lost, come twice, or have other shares, where an epoch is to have all rows of several of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from adapters.contract import Scenario, vary
from harness.judging.diagnosis.wording import at_steps, of_codes
from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Diagnosis, Finding

Rows = Sequence[int | None]
ORDINALS = ("first", "second", "third", "fourth", "fifth")


def found(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Diagnosis | None:
    """The way to mix datasets that gives just the rows that every step had; None if none does, or there is one."""
    own, scenario = of_codes(findings, "inputs.batch"), evidence[0].scenario
    if not own or scenario is None or len(scenario.data.parts) < 2 or scenario.data.packs:
        return None
    had = {
        e.step: [c.row for c in sorted(e.right.conversations, key=lambda c: (c.micro_batch, c.rank))] for e in evidence
    }
    if sorted(had) != list(range(len(had))):
        return None
    for kind, sentence, rows in _ways(scenario):
        if _gives(scenario, rows, had):
            line = f"{own[0].message}; {at_steps([f.step for f in own], len(evidence))}"
            return Diagnosis("mixture", sentence, 1.0, ("inputs.batch",), line, kind=f"mixture: {kind}")
    return None


def _ways(scenario: Scenario) -> Iterator[tuple[str, str, list[int]]]:
    """What is wrong, in few words and in a sentence, and the rows of an epoch then."""
    datasets = [list(rows) for rows in scenario.data.datasets]
    if scenario.data.mixing != "concatenated":
        behind = "datasets are put one behind the other, where their rows are to come in turn"
        yield "one behind the other", behind, list(range(len(scenario.data.rows)))
    every = range(len(datasets))
    for lost in every:
        rows = [row for n in every if n != lost for row in datasets[n]]
        yield "a dataset lost", f"the {_nth(lost)} of {len(datasets)} datasets is never trained", rows
    for twice in every:
        rows = [row for n in every for row in datasets[n] * (1 + (n == twice))]
        yield "a dataset twice", f"the rows of the {_nth(twice)} of {len(datasets)} datasets come twice", rows
    shortest = min(map(len, datasets))
    in_turn = "rows are taken from the datasets in turn until one ends, and not one dataset behind the other"
    yield "in turn", in_turn, [rows[i] for i in range(shortest) for rows in datasets]


def _nth(number: int) -> str:
    return ORDINALS[number] if number < len(ORDINALS) else f"{number + 1}th"


def _gives(scenario: Scenario, rows: Sequence[int], had: Mapping[int, Rows]) -> bool:
    """Whether epochs of these rows give what the steps had; where the order is drawn, whether some order does."""
    other = vary(scenario, rows=tuple(scenario.data.rows[i] for i in rows), parts=(), mixing="concatenated")
    if not rows or not other.dealing.rounds:
        return False
    if scenario.data.order == "given":
        return all(Counter(rows[place] for place in other.step_rows(step)) == Counter(own) for step, own in had.items())
    each = [row for step in range(len(had)) for row in had[step]]
    epochs = [each[at : at + len(rows)] for at in range(0, len(each), len(rows))]
    whole, wanted = len(each) // len(rows), Counter[int | None](rows)
    return whole > 0 and all(
        Counter(epoch) == wanted if number < whole else Counter(epoch) <= wanted for number, epoch in enumerate(epochs)
    )
