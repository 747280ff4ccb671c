"""Weights by chunks, by all positions and of sequences that are cut off, against the same counted token by token."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import Scenario, vary
from harness.intent.of_scenario import of_scenario
from harness.oracle import floor, pieces
from harness.oracle.basis_cache import Bases, BasisCache
from harness.oracle.pieces import Way
from harness.oracle.step import right_step
from harness.oracle.weighing import Weighing, weighing
from harness.traces.batch import Conversation
from scenarios import rendering, weights

SCENARIO = vary(scenarios.get("sft-ragged-batch2"), steps=1)


def _conversations(scenario: Scenario) -> list[Conversation]:
    rows, window = rendering.rendered(scenario), scenario.window
    places = [(n, r) for n in range(window.accumulation) for r in range(window.ranks)]
    return [
        Conversation(
            rank, number, i, row, rows[row].ids, rows[row].loss_mask, rows[row].loss_mask, None, None,
            (0,) * len(rows[row].ids),
        )
        for number, rank in places
        for i, sequence in enumerate(scenario.sequence_rows(0, number, rank))
        for row in sequence
    ]  # fmt: skip


@pytest.fixture(scope="module")
def weighed() -> Weighing:
    parameters = {n: torch.from_numpy(v) for n, v in weights.initial(SCENARIO.model, 0).items()}
    bases = Bases("tail", BasisCache())
    right = right_step(of_scenario(SCENARIO), SCENARIO.model, 0, _conversations(SCENARIO), parameters, bases)
    state = floor.State(parameters, *({n: torch.zeros_like(p) for n, p in parameters.items()} for _ in range(2)))
    return weighing(right, floor.measure(right, state, draws=1))


def _counted(w: Weighing, way: Way) -> list[Fraction]:
    """By plain counting, from the rows alone."""
    by_place: dict[tuple[int, int], list[Conversation]] = {}
    for c in w.right.conversations:
        by_place.setdefault(c.place, []).append(c)
    result: dict[tuple[int, int], Fraction] = {}
    for mine in by_place.values():
        longest = max(len(c.ids) for c in mine)
        flat = [(c, at) for c in mine for at in range(1, longest)]
        size = way.size or len(flat)
        chunks = [flat[at : at + size] for at in range(0, len(flat), size)]
        for chunk in chunks:
            trained = [(c, at) for c, at in chunk if at < len(c.ids) and c.trained[at]]
            each = len(trained) if way.kind == "chunks" else len(chunk)
            for c, at in trained:
                index = w.right.conversations.index(c)
                result[index, at] = Fraction(1, each * len(chunks) * len(by_place))
    return [result.get((slot.conversation, slot.position), Fraction()) for slot in w.right.slots]


@settings(deadline=None)
@given(size=st.integers(1, 200))
def test_chunks_are_averaged_by_themselves(weighed: Weighing, size: int) -> None:
    way = Way("chunks", size)
    assert pieces.weights(weighed, way).tolist() == pytest.approx(list(map(float, _counted(weighed, way))))


def test_all_positions_are_counted(weighed: Weighing) -> None:
    way = Way("positions")
    assert pieces.weights(weighed, way).tolist() == pytest.approx(list(map(float, _counted(weighed, way))))


def test_one_chunk_is_a_mean_of_the_micro_batch(weighed: Weighing) -> None:
    one = pieces.weights(weighed, Way("chunks", 4096))
    assert float(one.sum()) == pytest.approx(1.0)


@settings(deadline=None)
@given(lengths=st.tuples(st.integers(6, 60), st.integers(6, 60)))
def test_what_is_cut_off_is_found(weighed: Weighing, lengths: tuple[int, int]) -> None:
    """The same weights, by whatever lengths: one may lie between two tokens that are trained."""
    wanted = pieces.weights(weighed, Way("cut off", lengths=lengths))
    found = [way for way in pieces.ways(weighed, weighed.right.by_column(wanted)) if way.kind == "cut off"]
    whole = bool((wanted == weighed.right.slot_weights).all())
    nothing = any(not bool(wanted[weighed.rank == rank].any()) for rank in range(2))
    assert bool(found) == (not whole and not nothing)
    for way in found:
        assert torch.equal(pieces.weights(weighed, way), wanted)
