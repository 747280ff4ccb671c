"""From a verdict to the tables: options, how weights differ, who made the same update."""

from __future__ import annotations

import scenarios
from harness.translating import published, table
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, GroupRecord, Verdict, ViewRecord
from tests.harness.translating.test_dialects import OBJECTIVES

WRONG = DiagnosisRecord(cause="x", kind="a mean of means", summary="the mean of 8 means", explains=1.0, codes=[],
                        evidence="")  # fmt: skip
CELLS = [
    CellRecord(framework="trl", version="1.16.0", scenario="grpo-token", verdict="pass"),
    CellRecord(framework="verl", version="0.9.1", scenario="grpo-token", verdict="pass"),
    CellRecord(framework="verl", version="0.7.1", scenario="grpo-token", verdict="fail", diagnoses=[WRONG]),
    CellRecord(framework="ms-swift", version="4.6.0", scenario="grpo-token", verdict="unsupported", reason="none"),
    CellRecord(framework="torch", version="2.13.0", scenario="sft-ragged", verdict="pass"),
]
GROUPS = [
    GroupRecord(members=[CELLS[0].name, CELLS[1].name], votes=2, side="right"),
    GroupRecord(members=[CELLS[2].name], votes=1, side="wrong"),
]
RUN = Verdict(cells=CELLS, views=[ViewRecord(scenario="grpo-token", groups=GROUPS), ViewRecord(scenario="sft-ragged")])


def test_what_is_told_of_a_run() -> None:
    found = table.objectives(RUN)
    assert [one.scenario for one in found.objectives] == ["grpo-token"]
    assert [r.verdict for r in found.releases] == ["pass", "pass", "fail", "unsupported"]
    trl, _, old, swift = found.releases
    assert "loss_type: dapo" in trl.options
    assert trl.named_by == "trl 1.16.0"
    assert old.differs == ["the mean of 8 means"]
    assert old.kinds == ["a mean of means"]
    assert (swift.options, swift.reason) == ([], "none")
    assert [[g.members for g in one.groups] for one in found.alike] == [
        [["trl==1.16.0", "verl==0.9.1"], ["verl==0.7.1"]]
    ]


def test_no_place_of_this_machine_is_told() -> None:
    lost = CELLS[3].model_copy(update={"verdict": "unknown", "reason": "cannot import 'x' (/a/b.py)"})
    (found,) = table.objectives(Verdict(cells=[lost])).releases
    assert found.reason == "cannot import 'x'"


def test_a_run_without_objectives_has_none() -> None:
    assert not table.objectives(Verdict(cells=CELLS[-1:])).objectives


def test_every_objective_of_the_catalogue_is_published_somewhere() -> None:
    for name in OBJECTIVES:
        told = published.sentences(scenarios.get(name).objective)
        assert "arXiv" in " ".join(told), name
