"""`lockstep relate`: its exit status, and names that it does not know."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.commands import relate
from harness.commands.stop import Stop
from harness.relations.record import Relations, State
from tests.reports.relations.test_faces import HOLDS


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["holds"], 0),
        (["holds", "unsupported"], 0),
        (["holds", "unknown"], 3),
        (["unsupported"], 3),
        ([], 3),
        (["broken", "unknown", "holds"], 1),
    ],
)
def test_the_exit_status(states: Sequence[State], status: int) -> None:
    pairs = [HOLDS.model_copy(update={"state": state}) for state in states]
    assert relate._status(Relations(pairs=pairs)) == status


def test_a_relation_that_is_none_is_told_with_one_that_is_like_it() -> None:
    with pytest.raises(Stop, match=r"no relation is called 'offloads'; did you mean offload\? there are split-"):
        relate._relations(["offloads"])


def test_relations_are_asked_in_their_own_order() -> None:
    asked = [relation.name for relation in relate._relations(["compiled", "stage"])]
    assert asked == ["stage", "compiled"]
