"""What is made of each sampling: every row of its steps, once in each epoch, where the scenario deals it."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import vary
from adapters.families import rollouts
from scenarios import catalogue


def test_two_halves_twice() -> None:
    (made,) = rollouts.dealt(catalogue.get("grpo-stale"))
    assert made.epochs == 2
    assert [len(mini_batches) for mini_batches in made.rows] == [2, 2]
    assert sorted(chain(*chain(*made.rows))) == list(range(32))


def test_a_sampling_for_each_step() -> None:
    made = rollouts.dealt(catalogue.get("grpo-token"))
    assert [(part.epochs, len(part.rows[0])) for part in made] == [(1, 1), (1, 1)]


@given(steps=st.integers(1, 8), each=st.integers(1, 4), epochs=st.integers(1, 4))
def test_the_steps_of_all_rollouts_are_those_of_the_scenario(steps: int, each: int, epochs: int) -> None:
    base = catalogue.get("grpo-token")  # two steps of rows
    scenario = vary(base, steps=min(steps, 2 * epochs), epochs=epochs, rollout_steps=each)
    made = [
        [rank[at] for rank in part.rows]
        for part in rollouts.dealt(scenario)
        for _ in range(part.epochs)
        for at in range(len(part.rows[0]))
    ]
    assert [sorted(chain(*step)) for step in made] == [
        sorted(scenario.step_rows(step)) for step in range(scenario.window.steps)
    ]
