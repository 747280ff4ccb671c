"""From log-probabilities to records: differences, growth, who is off."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from harness.mismatch import measured
from harness.mismatch.measured import Run
from harness.mismatch.sources import Way
from harness.mismatch.subject import Exact

PLACES = 16
EVERY = torch.randn(2, PLACES, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log_softmax(-1)
BASE = Exact(EVERY[..., 0], EVERY)
ROUNDED = Exact(EVERY[..., 0] + 0.5, EVERY)
EXACT = {"float32": BASE, "bfloat16": ROUNDED}


def run(role: Literal["trainer", "engine"], chosen: Tensor | None, dtype: str = "float32", **more: object) -> Run:
    tensors = None if chosen is None else {"chosen": chosen, **more}  # type: ignore[dict-item]
    return Run(Way(f"a-{role}", role, "it tells"), "torch", "2.13.0", dtype, tensors, None if tensors else "crashed")


def test_a_run_is_held_against_both_exact_values() -> None:
    found = measured.run(run("trainer", ROUNDED.chosen + 0.25, "bfloat16", every=EVERY), EXACT)
    assert found.arithmetic is not None
    assert found.whole is not None
    assert found.arithmetic.mean_abs == found.arithmetic.bias == pytest.approx(0.25)
    assert found.whole.mean_abs == pytest.approx(0.75)
    assert found.arithmetic.kl == 0


def test_parameters_that_stay_in_float32_are_held_against_those() -> None:
    way = Way("mixed", "trainer", "under autocast", masters=True)
    found = measured.run(Run(way, "torch", None, "bfloat16", {"chosen": BASE.chosen + 0.25}), EXACT)
    assert found.arithmetic == found.whole


def test_growth_and_the_worst_tokens_are_found() -> None:
    apart = torch.linspace(0, 1, PLACES, dtype=torch.float64).repeat(2, 1)
    apart[1, 3] = -4.0
    found = measured.run(run("engine", BASE.chosen + apart), EXACT)
    assert len(found.growth) == measured.BINS
    assert found.growth[-1] > found.growth[0]
    assert (found.worst[0].row, found.worst[0].place) == (1, 4)
    assert found.worst[0].found - found.worst[0].exact == pytest.approx(-4.0)


def test_what_is_unknown_is_in_no_pair() -> None:
    assert measured.run(run("engine", None), EXACT).state == "unknown"
    assert measured.pairs([run("trainer", BASE.chosen), run("engine", None)], EXACT) == []


@pytest.mark.parametrize(
    ("trainer", "engine", "nearer"), [(0.1, 0.3, "trainer"), (0.3, 0.1, "engine"), (0.1, 0.15, "alike")]
)
def test_who_is_nearer(trainer: float, engine: float, nearer: str) -> None:
    runs = [run("trainer", BASE.chosen + trainer), run("engine", BASE.chosen - engine)]
    (pair,) = measured.pairs(runs, EXACT)
    assert pair.nearer == nearer
    assert pair.metrics["rollout_corr/kl"] == pytest.approx(-trainer - engine)
    assert pair.kl is None


def test_a_trainer_in_float32_is_held_against_every_engine_and_no_other_across_dtypes() -> None:
    every = [run(role, BASE.chosen, dtype) for role in ("trainer", "engine") for dtype in EXACT]  # type: ignore[arg-type]
    found = {(pair.trainer_dtype, pair.engine_dtype) for pair in measured.pairs(every, EXACT)}
    assert found == {("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "bfloat16")}


def test_rows_shorter_than_the_bins_have_one_for_each_place() -> None:
    assert measured.binned(torch.tensor([[1.0, 3.0], [2.0, 5.0]])) == [1.5, 4.0]
