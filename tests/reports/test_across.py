"""What a stranger reads of frameworks that disagree."""

from __future__ import annotations

import io

from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from harness.verdicts.verdict import DistanceRecord, GroupRecord, RowRecord, Side, ViewRecord
from reports import across

NAMES = ("torch==2.13.0", "trl==1.16.0", "openrlhf==0.9.10")


def group(side: Side, scenario: str, *names: str) -> GroupRecord:
    return GroupRecord(members=[f"{name}/{scenario}" for name in names], votes=len(names), side=side)


def parted(scenario: str, seed: int = 0) -> ViewRecord:
    rows = [RowRecord(step=0, row=r, spans=[[(7, 15, 0.5576)], [(7, 9, 1.0851), (10, 10, 0.25)]]) for r in range(9)]
    return ViewRecord(
        scenario=scenario,
        seed=seed,
        groups=[group("right", scenario, *NAMES[:2]), group("wrong", scenario, NAMES[2])],
        majority=0,
        distances=[DistanceRecord(first=0, second=1, parted=0, gradient=0.93, parameters=0.0061, drift=0.013)],
        rows=[*rows, RowRecord(step=0, row=9, spans=[[], None])],
        inputs=[[f"{name}/{scenario}" for name in NAMES]],
    )


def render(*views: ViewRecord) -> str:
    out = io.StringIO()
    across.show(views, Console(file=out, width=80))
    return out.getvalue()


def test_agreement_and_disagreement(snapshot: SnapshotAssertion) -> None:
    agreed = ViewRecord(scenario="sft-equal", groups=[group("right", "sft-equal", *NAMES)], majority=0)
    failed = ViewRecord(scenario="sft-ragged-bf16", reason="cannot be compared: ValueError: no")
    assert render(agreed, parted("sft-ragged"), parted("sft-ragged-decay"), failed) == snapshot


def test_the_same_disagreement_is_told_once() -> None:
    assert render(parted("sft-ragged"), parted("sft-ragged", 3)).count("wrong by the oracle") == 1


def test_who_was_fed_otherwise_is_named() -> None:
    inputs = [[f"{NAMES[0]}/s", f"{NAMES[1]}/s"], [f"{NAMES[2]}/s"]]
    view = parted("sft-ragged").model_copy(update={"inputs": inputs, "inputs_majority": 0})
    assert "as most frameworks: openrlhf==0.9.10" in " ".join(render(view).split())
    even = view.model_copy(update={"inputs_majority": None})
    told = f"not all were fed the same tokens, masks and positions: {NAMES[0]}, {NAMES[1]}; {NAMES[2]}"
    assert told in " ".join(render(even).split())


def test_weights_that_mean_nothing_are_told_as_that() -> None:
    view = parted("sft-ragged").model_copy(update={"rows": [], "weights_untold": [f"{NAMES[2]}/sft-ragged"]})
    text = " ".join(render(view).split())
    assert "what tokens weigh in B cannot be told: much of the gradient comes from something other than" in text
    assert "weight x N" not in text


def test_a_row_of_many_weights_is_told_by_their_range() -> None:
    many = RowRecord(step=0, row=0, spans=[[(7, 15, 0.5)], [(at, at, at / 10) for at in range(3, 12)]])
    text = " ".join(render(parted("sft-ragged").model_copy(update={"rows": [many]})).split())
    assert "row 0 0.5 (7-15) 9 weights of 0.3 to 1.1 (3-11)" in text


def test_nothing_is_said_of_nothing() -> None:
    assert render() == ""
