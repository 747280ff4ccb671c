"""The page of a cell: from its verdict and trace to what the template lays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import printable
from harness.traces import text_files
from harness.traces.recovered_numbers import StepWeights
from harness.traces.text_files import Header
from harness.verdicts.verdict import CellRecord, FindingRecord, ViewRecord
from reports import said, words
from reports.html import apart, curves, tensors, weight_map
from reports.html.figure import Figure, numbers, told
from reports.html.weight_map import WeightMap
from reports.source import Cell

MOST_MAPS = 12
"""Steps whose weights are drawn."""
MOST_TOKENS = 20_000
"""Of one map."""
MOST_FINDINGS = 100


@dataclass(frozen=True)
class Log:
    name: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Page:
    """What the template of a cell's page is given."""

    record: CellRecord
    lines: Sequence[said.Line]
    codes: Sequence[str]
    """Of all findings, with their steps."""
    findings: Sequence[FindingRecord]
    more_findings: int
    maps: Sequence[Figure]
    chosen: str | None
    """The map that is shown first."""
    pictures: Sequence[Figure]
    groups: Sequence[apart.Group]
    distance: Figure | None
    view_reason: str | None
    header: Header | None
    problem: str | None
    logs: Sequence[Log]
    no_map: str | None
    """Why there is no weight map, where there could be one."""
    untold: str | None
    """Steps whose weights mean nothing, and why."""
    older: bool
    """Whether what the oracle recovered was not kept, but can be had again."""

    @property
    def figures(self) -> list[Figure]:
        return [*self.maps, *self.pictures, *([self.distance] if self.distance else [])]


def page(cell: Cell, others: Sequence[Cell], view: ViewRecord | None) -> Page:
    """`others` are the cells of the same scenario, `view` what sets them apart."""
    record, steps = cell.record, cell.steps
    maps = [_map(drawn, cell, at) for at, step in enumerate(steps[:MOST_MAPS]) if (drawn := _drawn(step))]
    untold = [step.step for step in steps[:MOST_MAPS] if not step.tells]
    curve = curves.figure(cell, others)
    return Page(
        record=record,
        lines=said.lines(record),
        codes=words.collapsed(record.findings),
        findings=record.findings[:MOST_FINDINGS],
        more_findings=max(0, len(record.findings) - MOST_FINDINGS),
        maps=maps,
        chosen=next((m.id for m in maps if m.wrong), maps[0].id if maps else None),
        pictures=[*([curve] if curve else []), *tensors.figures(steps, record.findings)],
        groups=apart.groups(view) if view else [],
        distance=apart.figure(view) if view else None,
        view_reason=view.reason if view else None,
        header=cell.told.header,
        problem=cell.told.problem,
        logs=_logs(cell.trace) if cell.trace and record.verdict == "unknown" else [],
        no_map=_no_map(cell),
        untold=f"{words.counted('step', untold)}: {words.FOREIGN}" if untold else None,
        older=_older(cell),
    )


def _logs(trace: Path) -> list[Log]:
    """None where they cannot be read: the page is of more than them."""
    try:
        return [Log(tail.name, [printable.printable(line) for line in tail.lines]) for tail in text_files.tails(trace)]
    except OSError:
        return []


# ---- weight maps


def _older(cell: Cell) -> bool:
    return bool(cell.trace and not cell.steps and cell.record.verdict not in ("unknown", "unsupported"))


def _no_map(cell: Cell) -> str | None:
    if not cell.record.trace or cell.record.verdict == "unsupported":
        return None
    if cell.trace is None:
        return "its trace is not in the run's folder any more"
    if cell.steps:
        return f"no step of it has tokens to show, or it has more than {MOST_TOKENS}"
    return (
        "this trace was judged by an older Lockstep, which kept no weights"
        if _older(cell)
        else ("the oracle recovered no step of this trace")
    )


def _drawn(step: StepWeights) -> WeightMap | None:
    """None for what no page could hold, where there is no token, and where the weights of tokens mean nothing."""
    count = sum(len(c.ids) for c in step.conversations)
    drawn = weight_map.draw(step) if step.tells and count <= MOST_TOKENS else None
    return drawn if drawn and drawn.counts else None


def _map(drawn: WeightMap, cell: Cell, at: int) -> Figure:
    """`at` is the place among the steps, and in the map's name: a file from elsewhere may tell a step twice."""
    scenario = cell.told.scenario
    number = drawn.step.step
    return Figure(
        id=f"weights-{at}",
        chart="weights",
        title=f"Step {number}: what each token weighed, as a share of what it should",
        sentence=weight_map.sentence(drawn),
        data=weight_map.data(drawn, scenario.tokenizer.vocabulary if scenario else ()),
        numbers=numbers(
            ["micro-batch", "rank", "row", "trained tokens", "mean weight x N", "right", "spread"],
            [_row(line) for line in drawn.lines],
            [line.wrong for line in drawn.lines],
        ),
        height=drawn.height,
        legend=drawn.counts,
        step=number,
        wrong=drawn.wrong,
    )


def _row(line: weight_map.Line) -> list[str]:
    conversation = line.conversation
    weight = conversation.mean
    mean = "-" if weight is None else f"{round(weight, 6) + 0.0:.6f}"  # + 0.0: no minus zero
    return [
        str(conversation.micro_batch),
        str(conversation.rank),
        line.name,
        str(len(conversation.of_response)),
        mean,
        f"{line.right:.6f}",
        told(line.spread, 2),
    ]
