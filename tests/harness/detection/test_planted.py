"""Cells are gone through so that few are run; what is found, missed and not shown is told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Scenario, vary
from adapters.faults import Fault, Plan
from harness.detection import planted
from harness.detection.record import CauseResult, CellResult
from harness.fuzzing.cells import Planted
from scenarios import get

PLAIN = get("sft-ragged")
SCENARIOS = [vary(PLAIN, name=name) for name in "abcd"]
Places = dict[str, set[str]]
"""Names of scenarios, by fault."""


@dataclass
class Played:
    """Says of each cell what it is told to say."""

    found: Places
    bad: set[str] = field(default_factory=set)
    """Scenarios that are wrong without a fault."""
    broken: set[tuple[str, str]] = field(default_factory=set)
    """Faults and scenarios that crash together."""
    ran: list[tuple[str, str | None]] = field(default_factory=list)

    def __call__(self, wanted: Sequence[Planted]) -> list[CellResult]:
        return [self._cell(scenario.name, fault) for scenario, fault in wanted]

    def _cell(self, name: str, fault: str | None) -> CellResult:
        self.ran.append((name, fault))
        wrong = name in self.bad if fault is None else name in self.found.get(fault, ())
        causes = (CauseResult(cause="clipping", kind="clipping: none"),) if wrong else ()
        lost = fault is not None and (fault, name) in self.broken
        verdict = "unknown" if lost else "fail" if wrong else "pass"
        return CellResult(
            release="torch==2.13.0",
            environment="0",
            scenario=name,
            scenario_hash=name,
            fault=fault,
            verdict=verdict,
            causes=causes,
            reason="it crashed" if lost else None,
        )


def fault(name: str, acts: set[str], cause: str = "clipping") -> Fault:
    def hidden(scenario: Scenario) -> str | None:
        return None if scenario.name in acts else "not there"

    return Fault(name, name, Plan(), (), cause, hidden)


def test_the_cell_in_which_most_act_comes_first() -> None:
    faults = [fault("one", {"a", "b"}), fault("other", {"b"}), fault("third", {"c"}), fault("none", set())]
    run = Played({"one": {"b"}, "other": {"b"}, "third": {"c"}})
    told, outcomes = planted.detect(SCENARIOS, faults, run)
    assert run.ran == [("b", None), ("b", "one"), ("b", "other"), ("c", None), ("c", "third")]
    assert (told.cells, told.clean, told.chosen) == (4, {"pass": 2}, ("b", "c"))
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "one": "found",
        "other": "found",
        "third": "found",
        "none": "acts in none",
    }
    assert (outcomes["one"].cells, outcomes["one"].tried, outcomes["one"].hidden) == (2, 1, {"not there": 2})


def test_what_is_not_found_is_tried_wherever_it_acts() -> None:
    run = Played({"late": {"c"}})
    _, outcomes = planted.detect(SCENARIOS, [fault("lost", {"a", "c"}), fault("late", {"a", "b", "c"})], run)
    assert (outcomes["lost"].state, outcomes["lost"].tried, outcomes["lost"].instead) == ("missed", 2, {"pass": 2})
    assert (outcomes["late"].state, outcomes["late"].tried) == ("found", 2)


def test_another_cause_is_told() -> None:
    _, outcomes = planted.detect(SCENARIOS, [fault("one", {"a"}, "loss-mask")], Played({"one": {"a"}}))
    assert outcomes["one"].state == "named otherwise"


def test_nothing_is_planted_in_a_cell_that_is_wrong_by_itself() -> None:
    run = Played({"one": {"a", "b"}}, bad={"a"})
    told, outcomes = planted.detect(SCENARIOS, [fault("one", {"a", "b"}), fault("other", {"a"})], run)
    assert told.clean == {"fail": 1, "pass": 1}
    assert ("a", "one") not in run.ran
    assert outcomes["one"].state == "found"
    assert (outcomes["other"].state, outcomes["other"].reason) == ("unknown", "without the fault a is fail")


def test_a_crash_proves_nothing() -> None:
    run = Played({"one": {"a"}}, broken={("one", "a")})
    _, outcomes = planted.detect(SCENARIOS, [fault("one", {"a"})], run)
    assert (outcomes["one"].state, outcomes["one"].reason) == ("unknown", "it crashed")


PLACES = st.dictionaries(st.sampled_from(["one", "other", "third"]), st.sets(st.sampled_from("abcd")))


@given(PLACES, PLACES)
def test_the_chosen_cells_find_whatever_is_found(acts: Places, found: Places) -> None:
    run = Played(found)
    told, outcomes = planted.detect(SCENARIOS, [fault(name, places) for name, places in acts.items()], run)
    assert len(run.ran) == len(set(run.ran))
    for name, outcome in outcomes.items():
        there = acts[name] & found.get(name, set())
        assert (outcome.state == "found") == bool(there)
        assert outcome.tried <= outcome.cells == len(acts[name])
        if outcome.found is not None:
            assert outcome.found.scenario in there & set(told.chosen)
