"""From a run to its relations: each cell is known by its command."""

from __future__ import annotations

from pathlib import Path

from harness.environments.request import Request
from harness.relations import planned
from harness.relations.declared import BY_NAME
from harness.relations.pairs import pairs
from harness.relations.related import related
from harness.session.plan import Plan
from harness.verdicts.verdict import CellRecord
from tests.harness.relations.small import SMALL, cell

RELATIONS = [BY_NAME["checkpointing"], BY_NAME["stage"]]


def test_what_ran_is_held_and_what_could_not_is_told(tmp_path: Path) -> None:
    found, silent = pairs(RELATIONS, [SMALL])
    request = Request("torch", "2.13.0")
    plan = planned.planned(Plan((request,), ()), found, tmp_path)
    cells = [_ran(plan, request, choice, tmp_path) for _, choice in sorted(plan.pairs or (), key=lambda p: p[1].name)]
    told = related(plan, found, silent, cells, tmp_path, "lockstep relate")
    assert told.sentences.keys() == {"checkpointing", "stage"}
    states = {(pair.relation, pair.state) for pair in told.pairs}
    assert states == {("checkpointing", "holds"), ("stage", "unsupported")}
    assert {pair.version for pair in told.pairs} == {"1", "2.13.0"}
    (held, *_) = told.pairs
    assert [side.verdict for side in held.sides] == ["pass", "pass"]


def _ran(plan: Plan, request: Request, choice: planned.Choice, folder: Path) -> CellRecord:
    side = plan.scenario(choice)
    return cell(side, folder).model_copy(update={"command": plan.command(request, choice)})
