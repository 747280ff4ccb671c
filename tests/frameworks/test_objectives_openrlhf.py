"""Preferences and rewards in OpenRLHF: its trainer of preferences, and the actor of its trainer on Ray."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.judging.judge import judge
from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.conftest import BUILDING
from tests.frameworks.proofs import words
from tests.frameworks.reading import assert_weights_of_formula, causes
from tests.frameworks.test_shims import applied

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

NEWEST, MENDED, HALF, OLD, OLDEST = (f"openrlhf=={v}" for v in ("0.11.2", "0.10.4", "0.10.3", "0.10.2", "0.9.10"))
WITH_RAY = f"{NEWEST},ray==2.58.0"
TELLING = ("dpo-with-sft", "grpo-token")
PAIRS = ("dpo-ragged", "dpo-smoothed", "dpo-ipo", "dpo-with-sft")
REWARDED = ("grpo-token", "grpo-row", "grpo-stale", "grpo-divergence", "grpo-sequence")
UNSUPPORTED = {
    "dpo-ipo-mean": "preference",
    "grpo-constant": "normaliser",
    "grpo-masked": "completions that do not end",
    "grpo-mixed": "demonstrations",
}
TOLERANCE = 1e-5
"""Of the largest weight, in fp32."""
NOT_CLIPPED = 'name = "unclipped"\nbase = "grpo-token"\noptimizer.max_grad_norm = "none"\n'


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    chosen = ["--framework", NEWEST, *words("--scenario", ["dpo-*", "grpo-*"])]
    return command.run(tmp_path_factory.mktemp("objectives"), environments, *chosen, timeout=BUILDING)


@pytest.fixture(scope="module")
def older_pairs(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    chosen = words("--framework", [OLDEST, MENDED]) + words("--scenario", PAIRS)
    return command.run(tmp_path_factory.mktemp("older-pairs"), environments, *chosen, timeout=BUILDING)


@pytest.fixture(scope="module")
def unclipped(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    """Five releases where the scale of a step can be told."""
    folder = tmp_path_factory.mktemp("unclipped")
    (folder / "unclipped.toml").write_text(NOT_CLIPPED)
    chosen = [*words("--framework", [NEWEST, MENDED, HALF, OLD, OLDEST]), "--scenario", str(folder / "unclipped.toml")]
    return command.run(folder, environments, *chosen, timeout=BUILDING)


def test_preferences_and_rewards_are_right(tmp_path: Path, environments: Path) -> None:
    chosen = ["--framework", NEWEST, *words("--scenario", TELLING)]
    run = command.run(tmp_path, environments, *chosen, timeout=BUILDING)
    assert run.status == 0, run.said


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*PAIRS, *REWARDED])
def test_each_weight_is_that_of_the_formula(every: Run, name: str) -> None:
    assert_weights_of_formula(every, f"{NEWEST}/{name}", TOLERANCE)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_it_cannot_do_is_said(every: Run, name: str) -> None:
    found = every.cell(f"{NEWEST}/{name}")
    assert found.verdict == "unsupported"
    assert UNSUPPORTED[name] in (found.reason or "")


@pytest.mark.exhaustive
def test_pairs_were_right_before(older_pairs: Run) -> None:
    assert {cell.name: cell.verdict for cell in older_pairs.verdict.cells} == {
        f"{release}/{name}": "pass" for release in (OLDEST, MENDED) for name in PAIRS
    }


def averaged(run: Run, release: str, together: Sequence[Sequence[int]]) -> None:
    """A token of the first step weighs as if each micro-batch, of those ranks together, had been a mean of its own."""
    rows = judge(run.trace(f"{release}/unclipped")).steps[0].tokens.rows
    tokens = sum(row.trained for row in rows)
    means = len({row.micro_batch for row in rows}) * len(together)
    for row in (row for row in rows if row.expected):
        ranks = next(ranks for ranks in together if row.rank in ranks)
        own = sum(r.trained for r in rows if r.rank in ranks and r.micro_batch == row.micro_batch)
        assert row.weight / row.expected == pytest.approx(tokens / (own * means), rel=1e-5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("release", [OLDEST, OLD])
def test_each_micro_batch_was_averaged_over_its_own_tokens(unclipped: Run, release: str) -> None:
    """Until 0.10.2 (OpenRLHF#1249)."""
    found = unclipped.cell(f"{release}/unclipped")
    assert (found.verdict, causes(found)) == ("fail", ["mean-of-means"])
    averaged(unclipped, release, [[0], [1]])


@pytest.mark.exhaustive
def test_each_micro_batch_was_averaged_with_that_of_the_other_rank(unclipped: Run) -> None:
    """In 0.10.3, which counts the tokens of one micro-batch over the ranks."""
    found = unclipped.cell(f"{HALF}/unclipped")
    assert (found.verdict, causes(found)) == ("fail", ["mean-of-means"])
    averaged(unclipped, HALF, [[0, 1]])


@pytest.mark.exhaustive
@pytest.mark.parametrize("release", [MENDED, NEWEST])
def test_the_tokens_of_a_step_are_counted_since(unclipped: Run, release: str) -> None:
    assert unclipped.cell(f"{release}/unclipped").verdict == "pass"


@pytest.mark.exhaustive
def test_ray_itself_makes_no_other_step(tmp_path: Path, environments: Path) -> None:
    """Its stand-in hands OpenRLHF's actors back as they are."""
    chosen = [*words("--framework", [NEWEST, WITH_RAY]), "--scenario", "grpo-token"]
    run = command.run(tmp_path, environments, *chosen, timeout=BUILDING)
    plain, real = (run.trace(f"{framework}/grpo-token") for framework in (NEWEST, WITH_RAY))
    assert "stub-ray" in applied(plain) - applied(real)
    files = sorted(path.relative_to(plain) for path in (plain / "tensors").iterdir())
    assert files
    assert [digest(plain / file) for file in files] == [digest(real / file) for file in files]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
