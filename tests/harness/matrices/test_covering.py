"""A covering array holds every pair that can be had, and nothing that cannot."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.matrices.covering import Row, cover

AXES = {"a": (0, 1, 2), "b": ({}, {"x": 1}), "c": ("p", "q", "r"), "d": (False, True)}
VALUES = [(path, at) for path, values in AXES.items() for at in range(len(values))]
PAIRS = [(one, other) for one, other in combinations(VALUES, 2) if one[0] != other[0]]


def test_without_refusals_every_pair_is_held() -> None:
    found = cover(AXES, lambda row: None)
    assert (found.pairs, found.missed, found.refused, found.refused_pairs) == (len(PAIRS), 0, {}, 0)
    assert len(found.rows) < 3 * 3 * 2 * 2
    assert found == cover(AXES, lambda row: None)


def test_a_value_that_is_refused_is_in_no_row() -> None:
    found = cover(AXES, lambda row: "no such q" if row.get("c") == "q" else None)
    assert found.refused == {"c='q'": "no such q"}
    assert all(row["c"] != "q" for row in found.rows)
    assert (found.missed, found.refused_pairs) == (0, 0)


def test_a_value_that_needs_another_one_beside_it_is_in_every_pair_that_it_can_have() -> None:
    """As an offloaded optimizer needs a ZeRO stage, which no scenario has by default."""
    found = cover(AXES, lambda row: "only with r" if row.get("d") and row.get("c", "p") != "r" else None)
    assert found.refused == {}
    assert (found.missed, found.refused_pairs) == (0, 2)
    assert {row["c"] for row in found.rows if row["d"]} == {"r"}
    assert {row["a"] for row in found.rows if row["d"]} == set(AXES["a"])


def test_a_field_of_one_value_left_stands_in_every_row() -> None:
    found = cover(AXES, lambda row: "never" if row.get("d") else None)
    assert {row["d"] for row in found.rows} == {False}


def test_what_is_rare_is_in_no_more_rows_than_pairs_need() -> None:
    usual, seldom = cover(AXES, lambda row: None), cover(AXES, lambda row: None, frozenset({"d"}))
    assert (seldom.pairs, seldom.missed) == (usual.pairs, 0)
    assert sum(row["d"] for row in seldom.rows) == 3  # once beside each value of the longest other axes
    assert sum(row["d"] for row in usual.rows) > 3


@settings(deadline=None, max_examples=40)
@given(st.sets(st.sampled_from(PAIRS), max_size=6), st.frozensets(st.sampled_from(list(AXES))))
def test_no_row_has_what_is_refused_and_the_count_is_right(
    bad: set[tuple[tuple[str, int], tuple[str, int]]], rare: frozenset[str]
) -> None:
    def refuse(row: Row) -> str | None:
        def has(value: tuple[str, int]) -> bool:
            path, at = value
            return path in row and row[path] == AXES[path][at]

        return "together" if any(has(one) and has(other) for one, other in bad) else None

    found = cover(AXES, refuse, rare)
    assert all(refuse(row) is None for row in found.rows)
    assert found.pairs + found.refused_pairs == len(PAIRS)
    assert found.refused_pairs == len(bad)
    held = sum(refuse(_of(pair)) is None and any(_in(pair, row) for row in found.rows) for pair in PAIRS)
    assert held == found.pairs - found.missed


def _of(pair: tuple[tuple[str, int], tuple[str, int]]) -> Row:
    return {path: AXES[path][at] for path, at in pair}


def _in(pair: tuple[tuple[str, int], tuple[str, int]], row: Row) -> bool:
    return all(row[path] == AXES[path][at] for path, at in pair)
