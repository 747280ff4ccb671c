"""Two runs against each other: right ones hold, a planted fault breaks its relation, and what is not there is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import faults
from adapters.contract import END, vary
from harness.relations import held
from harness.relations.declared import BY_NAME
from harness.relations.pairs import Pair, pairs
from tests.harness.relations.small import SMALL, cells

FAULTS = {
    "split-otherwise": "mean-of-micro-batches",
    "rows-permuted": "mean-of-micro-steps",
    "rows-doubled": "divided-by-accumulation",
    "packed": "attention-leaks",
    "checkpointing": "gradient-cut-by-checkpointing",
    "chunked-loss": "chunks-averaged",
    "resumed": "resume-forgets-moments",
}
"""By relation, a fault of the reference that breaks it. Sharding and offload it does not have."""


def found(relation: str) -> list[Pair]:
    return pairs([BY_NAME[relation]], [SMALL])[0]


@pytest.mark.parametrize("relation", FAULTS)
def test_right_runs_hold_and_a_fault_breaks_it(relation: str, tmp_path: Path) -> None:
    plan = faults.CATALOGUE[FAULTS[relation]].plan
    states = []
    for number, pair in enumerate(found(relation)):
        right = held.held(pair, cells(pair, tmp_path / f"right-{number}"), tmp_path / f"right-{number}")
        assert (right.state, right.reason) == ("holds", None)
        assert [step.step for step in right.steps] == [0, 1]
        wrong = held.held(pair, cells(pair, tmp_path / f"wrong-{number}", plan), tmp_path / f"wrong-{number}")
        states.append(wrong.state)
        if wrong.state == "broken":
            assert wrong.parted is not None
            assert wrong.worst
    assert "broken" in states


def test_what_one_side_has_and_the_other_has_not_is_told(tmp_path: Path) -> None:
    (first, *_) = found("split-otherwise")
    record = held.unheld(first, "torch", "1", (None, None), "unsupported", "because")
    assert (record.state, record.reason, record.base) == ("unsupported", "because", "small")
    assert record.sides[0].settings == {"window.ranks": 2, "window.accumulation": 2}
    assert record.sides[1].settings == {"window.ranks": 1, "window.accumulation": 4}
    (permuted,) = found("rows-permuted")
    assert held.unheld(permuted, "torch", "1", (None, None), "unknown").sides[0].settings == {"data.rows": "8 rows"}


def test_a_side_that_crashed_or_cannot_be_had_proves_nothing(tmp_path: Path) -> None:
    (pair,) = found("checkpointing")
    one, other = cells(pair, tmp_path)
    crashed = other.model_copy(update={"verdict": "unknown", "reason": "it crashed", "trace": None})
    record = held.held(pair, (one, crashed), tmp_path)
    assert (record.state, record.reason) == ("unknown", f"{pair.sides[1].name}: it crashed")
    cannot = other.model_copy(update={"verdict": "unsupported", "reason": "it has none", "trace": None})
    record = held.held(pair, (one, cannot), tmp_path)
    assert (record.state, record.reason) == ("unsupported", "it has none")
    (tmp_path / str(other.trace) / END).unlink()
    assert held.held(pair, (one, other), tmp_path).state == "unknown"


def test_a_step_that_one_run_alone_has_breaks_it(tmp_path: Path) -> None:
    (pair,) = found("checkpointing")
    short = Pair(pair.relation, pair.base, (pair.sides[0], vary(pair.sides[1], steps=1)))
    cut = held.held(short, cells(short, tmp_path / "cut"), tmp_path / "cut")
    assert (cut.state, cut.parted) == ("broken", 1)
    assert cut.worst == ["only one of the runs has step 1"]
