"""Drawing scenarios with Hypothesis: few fields at a time, group by group, and of many those that are newest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, configuration, given, seed, settings
from hypothesis import strategies as st

from harness.fuzzing.axes import WINDOW, key
from harness.fuzzing.axes import settings as changed
from harness.fuzzing.coverage import Coverage

Axes = Mapping[str, Sequence[Any]]
Refuse = Callable[[Mapping[str, Any]], str | None]
"""Why a framework, or the scenario itself, cannot have these values; None if it can."""

CANDIDATES = 64
"""Scenarios of which the newest are run: drawing one takes a thousandth of what running it does."""
RUN_OF_THEM = 12
BARREN = 5
"""Batches in a row without anything new, after which there is taken to be nothing more."""
MOST_GROUPS, MOST_OF_A_GROUP = 3, 3
USUAL: Mapping[str, int] = {"sharding": 6, "precision": 2, "optimizer": 2}
"""How often a group is chosen, against 1 of the others: these are what most published configurations set."""


def rows(axes: Axes) -> st.SearchStrategy[dict[str, Any]]:
    """Values by path; the simplest is the plain scenario, and what is drawn has few values beside it.

    Fields of a group are drawn together, since most bugs that take several fields take those of one group.
    """
    groups: dict[str, list[str]] = {}
    for path in axes:
        if path not in WINDOW:
            groups.setdefault(path.split(".")[0], []).append(path)
    weighed = [group for group in groups for _ in range(USUAL.get(group, 1))]

    @st.composite
    def row(draw: st.DrawFn) -> dict[str, Any]:
        drawn = {path: draw(st.sampled_from(axes[path])) for path in WINDOW if path in axes}
        chosen = (
            st.lists(st.sampled_from(weighed), min_size=1, max_size=MOST_GROUPS, unique=True)
            if weighed
            else st.just([])
        )
        for group in draw(chosen):
            fields = st.lists(st.sampled_from(groups[group]), min_size=1, max_size=MOST_OF_A_GROUP, unique=True)
            drawn |= {path: draw(st.sampled_from(axes[path][1:])) for path in draw(fields)}
        return changed(drawn)

    return row()


def draw(axes: Axes, number: int, count: int) -> list[dict[str, Any]]:
    """So many different rows; the same for the same number."""
    found: dict[str, dict[str, Any]] = {}

    # Only its engine draws: what fails is made smaller by `shrinking`, since each question is a run of a framework.
    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(rows(axes))
    def collect(row: dict[str, Any]) -> None:
        found.setdefault(key(row), row)

    collect()
    return list(found.values())


def keep_files_in(folder: Path) -> None:
    """Hypothesis keeps what it has learnt of sources in a folder, by default below the one that one works in."""
    configuration.set_hypothesis_home_dir(folder)


def expressible(axes: Axes, refuse: Refuse) -> dict[str, list[Any]]:
    """The values that a framework does not refuse whatever stands beside them; fields of one value alone are left out.

    refuse: by what stands in tables, without an environment.
    """
    able = {path: [v for v in values if v == values[0] or refuse({path: v}) is None] for path, values in axes.items()}
    return {path: values for path, values in able.items() if len(values) > 1}


class Drawer:
    """Draws scenarios that a framework can have and that were not run, those with most that is new first."""

    def __init__(self, axes: Axes, refuse: Refuse, coverage: Coverage, number: int) -> None:
        self._axes = axes
        self._refuse = refuse
        self._coverage = coverage
        self._number = number
        self._tried: set[str] = set()
        self.refused = 0
        """Drawn scenarios that could not be had."""

    def run_before(self, row: Mapping[str, Any]) -> None:
        """This one need not be drawn again."""
        self._tried.add(key(row))
        self._coverage.add(row)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The plain one first. Without end, unless nothing new is drawn any more."""
        if key({}) not in self._tried and self._refuse({}) is None:
            self.run_before({})
            yield {}
        barren = 0
        while barren < BARREN:
            chosen = list(self._batch())
            barren = 0 if chosen else barren + 1
            yield from chosen

    def _batch(self) -> Iterator[dict[str, Any]]:
        # By how many were run: a run that was stopped goes on with others than it began with.
        drawn = draw(self._axes, hash((self._number, len(self._tried), self.refused)) % 2**32, CANDIDATES)
        able = {key(row): row for row in map(self._able, drawn) if row is not None and key(row) not in self._tried}
        waiting = list(able.values())
        for _ in range(min(RUN_OF_THEM, len(waiting))):
            newest = max(waiting, key=self._coverage.new)
            waiting.remove(newest)
            self.run_before(newest)
            yield newest

    def _able(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """The row, or what is left of it without the one field that does not fit; None if no such field is."""
        if self._refuse(row) is None:
            return row
        self.refused += 1
        smaller = ({other: row[other] for other in row if other != path} for path in row if path not in WINDOW)
        return next((one for one in smaller if self._refuse(one) is None), None)
