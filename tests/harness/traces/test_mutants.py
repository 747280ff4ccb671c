"""Traces with one change anywhere and every checksum right: none passes that changed anything that is judged."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import cli
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from harness.verdicts import verdict
from tests.fuzzing import examples
from tests.mutants.__main__ import hole, mutant
from tests.mutants.declared import DECLARED, declared
from tests.mutants.mutate import Mutation


@pytest.mark.fuzz
@settings(deadline=None, max_examples=examples(60))
@given(seed=st.integers(0, 2**32))
def test_no_mutant_passes_that_changed_what_is_judged(good: Path, bases: BasisCache, seed: int) -> None:
    with tempfile.TemporaryDirectory(dir=good.parent) as home:
        _, mutation = mutant(good, Path(home) / "trace", random.Random(seed))
        findings = judge(Path(home) / "trace", bases).findings
    assert all("\n" not in finding.message and len(finding.message) < 1000 for finding in findings)
    assert not any(" crashed: " in finding.message for finding in findings), mutation
    assert not hole(verdict.outcome(findings), mutation), mutation


@pytest.mark.fuzz
@settings(deadline=None, max_examples=examples(15))
@given(seed=st.integers(0, 2**32))
def test_every_command_tells_of_a_mutant_in_lines(good: Path, seed: int) -> None:
    with tempfile.TemporaryDirectory(dir=good.parent) as home:
        trace = str(Path(home) / "trace")
        _, mutation = mutant(good, Path(trace), random.Random(seed))
        for command in (
            ["judge", trace],
            ["explain", trace],
            ["compare", trace, str(good)],
            ["compare", str(good), trace],
        ):
            assert cli.call(command) in (0, 1, 2, 3), mutation


def test_what_is_declared_is_little() -> None:
    """The table is no way out: what is judged is in none of its lines."""
    for mutation in (
        Mutation("steps", "loss", "larger"),
        Mutation("steps", "line", "contradicted"),
        Mutation("batches", "input_ids", "larger"),
        Mutation("batches", "loss_mask", "none"),
        Mutation("tensors", "param before the first step of another rank", "zeros"),
        Mutation("tensors", "exp_avg_sq after a step of rank 0", "one number"),
        Mutation("header", "scenario.optimizer.learning_rate", "larger"),
    ):
        assert declared(mutation) is None
    assert all(entry.reason for entry in DECLARED)
