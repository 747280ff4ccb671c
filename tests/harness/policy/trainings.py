"""Trainings made by hand: a number for each arm and seed, and what they are as an experiment."""

from __future__ import annotations

from collections.abc import Mapping

from harness.policy import results, runs
from harness.policy.record import Experiment, RunRecord
from harness.policy.training import Run, Size

SIZE = Size(warm=1, steps=20, prompts=2, judged=10)
BEGUN, RIGHT = 0.3, 0.8


def planned(seeds: int = 3, quick: bool = False) -> tuple[Run, ...]:
    return runs.every(SIZE, range(seeds), quick)


def record(run: Run, final: float, k3: float, growth: float) -> RunRecord:
    """With a reward that seeds shift by a hundredth, and a mismatch that grows as often."""
    curve = [k3 * (1 + (growth - 1) * step / (SIZE.steps - 1)) for step in range(SIZE.steps)]
    final += run.seed / 100
    return RunRecord(
        kind=run.mismatch.kind,
        size=run.mismatch.size,
        correction=run.correction,
        seed=run.seed,
        begun_with=BEGUN + run.seed / 100,
        final=final,
        rewards=[BEGUN + (final - BEGUN) * step / (SIZE.steps - 1) for step in range(SIZE.steps)],
        measures={"kl": curve, "k3_kl": curve, "chi2_token": curve, "chi2_seq": curve},
        seconds=1.0,
    )


def trained(
    every: tuple[Run, ...], finals: Mapping[tuple[str, str], float], growth: float = 1.0
) -> Mapping[Run, RunRecord]:
    """finals: by label of the mismatch and correction; of the others as with exact rollouts."""
    k3 = {"exact": 1e-30, "rounding fp16": 1e-6, "rounding bf16": 1e-4}
    return {
        run: record(
            run, finals.get((run.mismatch.label, run.correction), RIGHT), k3.get(run.mismatch.label, 0.1), growth
        )
        for run in every
    }


def experiment(finals: Mapping[tuple[str, str], float], seeds: int = 3, growth: float = 1.0) -> Experiment:
    every = planned(seeds)
    return results.experiment(every, trained(every, finals, growth), [], "lockstep mismatch-training --out DIR")
