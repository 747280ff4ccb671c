"""What changed when: laws that hold for any measurements, and the cases that people meet."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from harness.history.changes import Line, changes, lines, outcome
from harness.history.store import Measurement
from tests.harness.measured import measurement

VERSIONS = (
    "0.9.0",
    "0.10.0",
    "0.10.0,torch==2.6",
    "0.10.0,torch==2.13",
    "0.9.0+patch.d05b9eb9",
    "odd",
    "1.0rc1",
    "1.0",
)


@st.composite
def measured(draw: st.DrawFn) -> list[Measurement]:
    """Any measurements, later ones on later days."""
    days = sorted(draw(st.lists(st.integers(1, 30), max_size=25)))
    return [
        measurement(
            number,
            draw(st.sampled_from(VERSIONS)),
            *draw(st.sampled_from([("pass",), ("fail", "a"), ("fail", "a", "b"), ("accepted", "a"), ("unknown",)])),
            day=day,
            framework=draw(st.sampled_from(["deepspeed", "trl"])),
            scenario=draw(st.sampled_from(["sft-equal", "sft-ragged@3"])),
        )
        for number, day in enumerate(days)
    ]


@given(measured())
def test_every_measurement_is_in_one_cell(found: list[Measurement]) -> None:
    held = [m for line in lines(found) for cell in line.cells.values() for m in cell.measurements]
    assert sorted(held, key=lambda m: m.id) == found
    for line in lines(found):
        assert {(v, s) for v in line.versions for s in line.scenarios} >= set(line.cells)


@given(measured(), st.randoms())
def test_the_order_in_which_they_come_is_no_matter(found: list[Measurement], order: Random) -> None:
    shuffled = list(found)
    order.shuffle(shuffled)
    assert [(line, changes(line)) for line in lines(shuffled)] == [(line, changes(line)) for line in lines(found)]


@given(measured())
def test_changes_lead_from_the_first_outcome_to_the_last(found: list[Measurement]) -> None:
    """Whoever follows them from release to release arrives at what was measured of each."""
    for line in lines(found):
        for scenario in line.scenarios:
            _walk(line, scenario)


def _walk(line: Line, scenario: str) -> None:
    own = [c for c in changes(line) if c.after.scenario == scenario]
    arrivals = {c.after.version: c for c in own if not c.again}
    versions = [v for v in line.versions if (v, scenario) in line.cells]
    at = outcome(line.cells[versions[0], scenario].last)
    for version in versions[1:]:
        if version in arrivals:
            assert outcome(arrivals[version].before) == at
            at = outcome(arrivals[version].after)
        assert at == outcome(line.cells[version, scenario].last)
    for version in versions:
        seen = [outcome(m) for m in line.cells[version, scenario].measurements]
        turns = sum(one != other for one, other in pairwise(seen))
        assert turns == sum(c.again and c.after.version == version for c in own)


@given(measured())
def test_a_change_is_of_two_outcomes_and_dated_when_both_are_known(found: list[Measurement]) -> None:
    for line in lines(found):
        told = changes(line)
        assert [c.day for c in told] == sorted((c.day for c in told), reverse=True)
        for change in told:
            assert outcome(change.before) != outcome(change.after)
            assert change.day in {m.measured[:10] for m in found}
            first_of_both = max(
                min(m.measured[:10] for m in found if m.version == side.version and m.scenario == side.scenario)
                for side in (change.before, change.after)
            )
            assert change.day >= first_of_both


def test_a_release_that_mends() -> None:
    nights = [
        measurement(1, "0.19.5", "fail", "gradient-scale: 1/GA", day=19),
        measurement(2, "0.19.6", "pass", day=20),
        measurement(3, "0.19.6", "pass", day=21),
    ]
    (change,) = changes(*lines(nights))
    assert (change.day, change.before.version, change.after.version) == ("2026-11-20", "0.19.5", "0.19.6")
    assert not change.again


def test_an_old_canary_between_newest_releases_is_no_change() -> None:
    """Every night measures a release that is known to be wrong: what it always gave is not told each night."""
    nights = [
        m
        for day in (1, 2, 3)
        for m in (
            measurement(2 * day, "0.18.9", "fail", "dropped", day=day),
            measurement(2 * day + 1, "0.19.8", "pass", day=day),
        )
    ]
    (change,) = changes(*lines(nights))
    assert (change.before.version, change.after.version, change.day) == ("0.18.9", "0.19.8", "2026-11-01")


def test_one_release_that_gives_something_else() -> None:
    nights = [measurement(1, "1.0", "pass", day=1), measurement(2, "1.0", "unknown", day=4, reason="killed")]
    (change,) = changes(*lines(nights))
    assert change.again
    assert change.day == "2026-11-04"


def test_what_is_named_underneath_or_patched_is_a_line_of_its_own() -> None:
    found = lines(
        [
            measurement(1, "1.16.0", "pass"),
            measurement(2, "1.16.0,deepspeed==0.18.9", "fail", "dropped"),
            measurement(3, "1.16.0,deepspeed==0.19.0", "pass"),
            measurement(4, "1.16.0+patch.d05b9eb9", "pass"),
        ]
    )
    assert [(line.underneath, line.patch, len(changes(line))) for line in found] == [
        ((), None, 0),
        ((), "d05b9eb9", 0),
        (("deepspeed",), None, 1),
    ]


def test_releases_stand_in_their_own_order() -> None:
    (line,) = lines([measurement(i, v, "pass") for i, v in enumerate(("0.10.0", "1.0", "odd", "0.9.0", "1.0rc1"))])
    assert line.versions == ("0.9.0", "0.10.0", "1.0rc1", "1.0", "odd")
