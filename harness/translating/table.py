"""From a run's verdict to what is told of each release and objective."""

from __future__ import annotations

import re

import scenarios
from adapters.contract import Scenario
from harness.translating import dialects, published, source
from harness.translating.meaning import Meaning, Sizes, canonical
from harness.translating.record import AlikeRecord, ObjectiveRecord, Objectives, ReleaseRecord, SameRecord
from harness.verdicts.verdict import CellRecord, Verdict, ViewRecord

_PLACE = re.compile(r" \(/[^)]*\)")
"""A path of this machine's, behind what is said of it."""


def objectives(verdict: Verdict) -> Objectives:
    """Of the cells on scenarios of the catalogue that have an objective; empty where there are none."""
    cells = [cell for cell in verdict.cells if _has_objective(cell)]
    named = dict.fromkeys((cell.scenario, cell.seed) for cell in cells)
    return Objectives(
        lockstep=verdict.lockstep,
        objectives=[_objective(name, seed) for name, seed in named],
        releases=[_release(cell) for cell in cells],
        alike=[_alike(view, verdict) for view in verdict.views if (view.scenario, view.seed) in named],
    )


def _has_objective(cell: CellRecord) -> bool:
    return scenarios.knows(cell.scenario) and scenarios.get(cell.scenario, cell.seed).objective.method != "sft"


def _objective(name: str, seed: int) -> ObjectiveRecord:
    told = published.sentences(scenarios.get(name, seed).objective)
    return ObjectiveRecord(scenario=name, seed=seed, published=told)


def _release(cell: CellRecord) -> ReleaseRecord:
    options, named_by = _options(cell)
    return ReleaseRecord(
        framework=cell.framework,
        version=cell.version,
        scenario=cell.label,
        options=options,
        named_by=named_by,
        verdict=cell.verdict,
        differs=[diagnosis.summary for diagnosis in cell.diagnoses],
        kinds=[diagnosis.kind for diagnosis in cell.diagnoses],
        codes=list(dict.fromkeys(finding.code for finding in cell.findings)),
        reason=cell.reason and _PLACE.sub("", cell.reason),
    )


def _options(cell: CellRecord) -> tuple[list[str], str | None]:
    """Lines, and whose names they are; none for what cannot be said."""
    scenario = scenarios.get(cell.scenario, cell.seed)
    found = dialects.find(cell.framework, scenario.objective.method)
    if found is None or cell.verdict == "unsupported":
        return [], None
    settings = found.write(meaning(scenario))
    if settings.cannot:
        return [], None
    return source.rendered(settings.options, found.layout).splitlines(), f"{found.framework} {found.release}"


def meaning(scenario: Scenario) -> Meaning:
    """A scenario's objective, with its sizes."""
    window, wanted = scenario.window, canonical(scenario.objective)
    if wanted.method == "dpo":
        return Meaning(wanted)
    of_rows = max(1, len(scenario.data.rows) // scenario.rows_per_step)
    passes = wanted.rollout_steps // min(wanted.rollout_steps, of_rows)
    return Meaning(wanted, sizes=Sizes(scenario.rows_per_step, window.micro_batch_size, passes, window.ranks))


def _alike(view: ViewRecord, verdict: Verdict) -> AlikeRecord:
    """What made the same update as a cell that passes is right, whatever it reports of it."""
    releases = {cell.name: f"{cell.framework}=={cell.version}" for cell in verdict.cells}
    passes = {cell.name for cell in verdict.cells if cell.verdict == "pass"}
    groups = [
        SameRecord(
            members=[releases.get(name, name) for name in group.members],
            side="right" if passes.intersection(group.members) else group.side,
        )
        for group in view.groups
    ]
    return AlikeRecord(scenario=view.label, groups=groups, reason=view.reason)
