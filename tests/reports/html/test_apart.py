"""The groups of a scenario and the map of their distances."""

from __future__ import annotations

from harness.verdicts.verdict import DistanceRecord, GroupRecord, ViewRecord
from reports.html import apart

GROUPS = [
    GroupRecord(members=["torch==1/s", "trl==1/s"], votes=2, side="right"),
    GroupRecord(members=["deepspeed==1/s"], votes=1, side="wrong"),
]
FAR = DistanceRecord(first=0, second=1, parted=0, gradient=0.5, parameters=0.1, drift=0.6)
VIEW = ViewRecord(scenario="s", groups=GROUPS, majority=0, distances=[FAR])


def test_groups_have_letters_and_the_majority_is_marked() -> None:
    assert [(g.letter, g.side, g.majority) for g in apart.groups(VIEW)] == [("A", "right", True), ("B", "wrong", False)]


def test_the_map_is_symmetric_and_its_diagonal_nothing() -> None:
    figure = apart.figure(VIEW)
    assert figure is not None
    found = {(s["row"], s["column"]): (s["text"], s["level"]) for s in figure.data["squares"]}
    assert found == {("A", "A"): ("0", "off0"), ("B", "B"): ("0", "off0"), ("A", "B"): ("0.6", "off5"),
                     ("B", "A"): ("0.6", "off5")}  # fmt: skip


def test_distances_between_groups_that_are_none_are_left_out() -> None:
    odd = [FAR.model_copy(update={"second": 7}), FAR.model_copy(update={"first": -1})]
    assert apart.figure(VIEW.model_copy(update={"distances": odd})) is None


def test_more_groups_than_letters_are_no_harm() -> None:
    many = VIEW.model_copy(update={"groups": GROUPS * 20})
    assert len(apart.groups(many)) == apart.MOST_GROUPS
    assert apart.figure(many) is not None
