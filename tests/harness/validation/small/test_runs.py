"""Which small runs a configuration gets, and what their steps should be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Optimizer, Schedule
from harness.validation.known.ledger import RANKS
from harness.validation.small import runs as small
from harness.validation.small.runs import ASSUMED, FIRST, FIRST_INTERPRETED, MOST_ROWS, WHOLE
from harness.validation.step.effective import Effective

COSINE = Schedule(decay="cosine", warmup_ratio=0.1, warmup_from="zero")
SHAPES = {"model.norm.weight": (4,), "lm_head.weight": (8, 4)}


def step(
    micro: int = 1,
    accumulation: int | None = 4,
    schedule: Schedule = COSINE,
    steps: int | None = None,
    horizon: int | None = None,
) -> Effective:
    rule = Optimizer(schedule=schedule)
    return Effective(micro, accumulation, 8, None, rule, epochs=3.0, steps=steps, horizon=horizon)


def runs(of: Effective, whole: bool = False, least: int = 1, packs: bool = False) -> list[small.Run]:
    return list(small.runs(of, whole, least, packs))


def test_the_first_run_has_the_horizon_of_the_training() -> None:
    first, whole = runs(step(horizon=6000))
    assert (first.steps, first.horizon, first.epochs) == (FIRST, 6000, None)
    assert (whole.steps, whole.horizon, whole.epochs) == (WHOLE, WHOLE, 2)
    assert first.step.optimizer.schedule == COSINE


def test_a_horizon_that_nobody_knows_is_assumed_and_said() -> None:
    assert f"{ASSUMED} (assumed" in runs(step())[0].says


def test_the_last_window_of_an_epoch_is_not_full() -> None:
    first, whole = runs(step())
    assert [len(window) for window in whole.windows()] == [4, 4, 4, 2] * 2
    assert (first.scaled, whole.scaled) == (False, True)


@pytest.mark.parametrize(
    ("of", "more"),
    [(step(), {"whole": True}), (step(accumulation=1), {}), (step(steps=500), {}), (step(), {"packs": True})],
    ids=["dropped", "nothing accumulated", "by steps", "packed"],
)
def test_where_there_is_none_all_are_full(of: Effective, more: dict[str, bool]) -> None:
    whole = runs(of, **more)[1]
    assert len({len(window) for window in whole.windows()}) == 1


def test_a_constant_rate_without_accumulation_needs_one_run() -> None:
    assert [run.name for run in runs(step(accumulation=1, schedule=Schedule()))] == ["first"]


@pytest.mark.parametrize(("micro", "accumulation"), [(1, 4), (2, 2), (4, 1), (16, 1)])
def test_kernels_that_are_interpreted_are_in_few_short_rows(micro: int, accumulation: int) -> None:
    first, whole = small.runs(step(micro=micro), whole_windows=False, slow=True, plain=True)
    assert (first.steps, first.accumulation, first.plain) == (FIRST_INTERPRETED, accumulation, False)
    assert (whole.accumulation, whole.plain, whole.short) == (min(4, max(3, 16 // micro)), True, False)
    assert first.length == whole.length
    packed = next(small.runs(step(micro=micro), whole_windows=False, packs=True, slow=True, plain=True))
    assert packed.length < first.length
    assert first.crowd == MOST_ROWS * RANKS
    assert first.rows == micro * RANKS * accumulation * first.steps


def test_packed_rows_train_by_steps_and_are_more() -> None:
    plain, packed = runs(step(steps=500))[1], runs(step(), packs=True)[1]
    assert packed.epochs is None
    assert packed.rows > plain.rows


@given(st.integers(1, 64), st.one_of(st.none(), st.integers(1, 512)))
def test_a_step_has_few_rows_unless_its_micro_batches_are_large(micro: int, accumulation: int | None) -> None:
    run = runs(step(micro, accumulation))[0]
    assert accumulation is None or run.accumulation <= accumulation
    assert run.of_a_step <= max(MOST_ROWS, 2 * micro * RANKS, 3 * min(micro * RANKS, MOST_ROWS))
    assert run.accumulation >= min(3 if micro * RANKS <= MOST_ROWS else 2, accumulation or 3)
    assert (run.accumulation > 1) == (accumulation != 1)


@given(st.integers(0, 5000), st.integers(10, 6000), st.integers(1, 2))
def test_a_scaled_schedule_rises_and_falls_within_the_run(warmup: int, horizon: int, least: int) -> None:
    told = replace(COSINE, warmup_ratio=0.0, warmup_steps=warmup, warmup_from="zero" if warmup else "first")
    shorter = small.scaled(step(horizon=horizon, schedule=told), WHOLE, least).optimizer.schedule
    assert (shorter.warmup_steps > 0) == (warmup > 0)
    assert shorter.warmup_steps <= WHOLE - 2
    assert not warmup or shorter.warmup_steps >= least


def test_an_intent_says_how_many_micro_batches_each_window_has() -> None:
    whole = runs(step())[1]
    intent = whole.intent(SHAPES, packs=False)
    assert [intent.micro_batches(at) for at in range(WHOLE)] == [4, 4, 4, 2, 4, 4, 4, 2]
    assert intent.ranks == RANKS
    assert whole.intent(SHAPES, packs=True).windows is None


def test_clipping_is_as_configured_in_one_run_and_hides_no_scale_in_the_other() -> None:
    first, whole = runs(replace(step(), optimizer=Optimizer(schedule=COSINE, max_grad_norm=0.5)))
    assert (first.step.optimizer.max_grad_norm, first.lifted) == (0.5, None)
    assert whole.step.optimizer.max_grad_norm == whole.lifted == 0.5 * small.LIFT
    plain = runs(replace(step(), optimizer=Optimizer(schedule=COSINE, max_grad_norm=None)))[1]
    assert plain.lifted is None
