"""Runs sorted by the update that they made: any order in, the same groups out, and a vote that cannot be bought."""

from __future__ import annotations

from random import Random

import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.across import groups
from harness.across.compare import Snapshot, Tolerance

BETA1 = 0.9
LIMIT = Tolerance(1e-5, 1e-5, 1e-5, "by hand")


def run(gradients: list[float], start: float = 1.0, rate: float = 0.1) -> list[Snapshot]:
    """Two equal elements moved against these gradients, with Adam's first moment kept."""
    value, moment = torch.full((2,), start, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    snapshots = [Snapshot({"w": value.clone()}, {})]
    for gradient in gradients:
        moment = BETA1 * moment + (1 - BETA1) * gradient
        value = value - rate * gradient
        snapshots.append(Snapshot({"w": value.clone()}, {"w": moment.clone()}))
    return snapshots


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e-7, 1e-7)), min_size=1, max_size=8), st.randoms())
def test_runs_of_one_update_are_one_group_in_any_order(kinds: list[tuple[int, float]], random: Random) -> None:
    runs = {f"{i}": run([1.0 + kind, 2.0 * (1.0 + noise)]) for i, (kind, noise) in enumerate(kinds)}
    names = list(runs)
    random.shuffle(names)
    found = groups.group({name: runs[name] for name in names}, BETA1, LIMIT)
    wanted = {frozenset(str(i) for i, (k, _) in enumerate(kinds) if k == kind) for kind, _ in kinds}
    assert {frozenset(g) for g in found.groups} == wanted
    assert [len(g) for g in found.groups] == sorted((len(g) for g in found.groups), reverse=True)
    count = len(found.groups)
    assert [(d.first, d.second) for d in found.distances] == [(i, j) for i in range(count) for j in range(i + 1, count)]


def test_another_start_is_the_same_update() -> None:
    assert len(groups.group({"a": run([1.0]), "b": run([1.0], start=1.5)}, BETA1, LIMIT).groups) == 1


def test_a_shorter_update_is_another_one_even_where_rounding_is_coarse() -> None:
    coarse = Tolerance(0.15, 0.7, 5e-3, "as in bfloat16")
    found = groups.group({"a": run([1.0, 1.0]), "b": run([1.0, 1.0], rate=0.08)}, BETA1, coarse)
    assert found.groups == (("a",), ("b",))
    assert groups.parted(found.distances[0].comparison) == 0


def test_the_step_at_which_they_part() -> None:
    found = groups.group({"a": run([1.0, 2.0, 1.0]), "b": run([1.0, 3.0, 1.0])}, BETA1, LIMIT)
    assert groups.parted(found.distances[0].comparison) == 1


@given(st.lists(st.integers(1, 9), max_size=6))
def test_the_majority_is_larger_than_every_other(votes: list[int]) -> None:
    chosen = groups.majority(votes)
    if chosen is None:
        assert not votes or max(votes) == 1 or votes.count(max(votes)) > 1
    else:
        assert all(votes[chosen] > v for i, v in enumerate(votes) if i != chosen)
        assert votes[chosen] > 1


@given(st.integers(0, 2))
def test_a_run_that_stops_short_is_a_group_of_its_own(steps: int) -> None:
    long = [1.0, 2.0, 1.0]
    found = groups.group({"short": run(long[:steps]), "a": run(long), "b": run([1.0, 2.0, 3.0])}, BETA1, LIMIT)
    assert found.groups == (("short",), ("a",), ("b",))
    assert groups.parted(found.distances[0].comparison) == steps


def test_releases_of_one_framework_do_not_outvote_two_frameworks() -> None:
    """Three wrong releases of one framework, and two frameworks that are right."""
    runs = {f"trl {i}": run([2.0]) for i in range(3)} | {"torch": run([1.0]), "verl": run([1.0])}
    found = groups.group(runs, BETA1, LIMIT, lambda names: len({name.split()[0] for name in names}))
    assert found.groups == (("torch", "verl"), ("trl 0", "trl 1", "trl 2"))
    assert (found.distances[0].first, found.distances[0].second) == (0, 1)
