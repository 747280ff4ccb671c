"""A plan and a validation at a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from harness.validation.record import CauseRecord, Validation
from tests.fuzzing import examples
from tests.harmless import hidden, hidden_at_a_terminal
from tests.harness.validation import written
from tests.reports.validation import made
from tests.reports.validation.made import shown


def test_the_verdict_comes_last_behind_its_cause() -> None:
    lines = shown(made.failing()).splitlines()
    assert lines[-1] == "FAIL"
    at = lines.index("what is wrong")
    assert lines[at + 1] == "  dropped-micro-batches: micro-batch 1 of 4 never reached the optimizer"
    assert lines[at + 3] == f"    remedy: {made.REMEDY}"
    assert lines[at + 4] == ("  weights.dropped-micro-batches  step 0: micro-batch 1 of 4 is lost (and 2 more)")


def test_of_the_ledger_only_what_matters_is_told_and_of_a_plan_all() -> None:
    told = shown(made.validation())
    assert (
        "the ledger: 7 keys: 1 unknown to this release, 1 not covered, 1 swapped, 2 shrunk, 1 kept, 1 no effect" in told
    )
    for word in ("unknown to this release", "not covered", "swapped", "shrunk"):
        assert f": {word}  [sft.yaml]" in told
    assert ": kept" not in told
    assert "each key: --out DIR, or --format markdown" in told
    plan = shown(made.plan())
    assert ": kept  [sft.yaml]" in plan
    assert ": no effect on the step  [sft.yaml]" in plan
    assert plan.endswith("\nNothing was run.\n")


def test_a_part_that_differs_says_so() -> None:
    told = shown(made.validation())
    assert "  differs: 0.1 of all\n" in told
    assert "  recovered: the responses\n" in told


def test_the_worst_comes_first(tmp_path: Path) -> None:
    plan = written.of(str(written.file(tmp_path, "x.yaml", {**written.TRL, "frobnicate": 1})))
    told = shown(plan)
    places = [told.index(f": {word}") for word in ("unknown to", "swapped", "kept")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("found", "sequence", "word"),
    [
        (made.failing(), "\x1b[1;31m", "FAIL"),
        (made.unknown(), "\x1b[33m", "unknown"),
        (made.validation(), "\x1b[32m", "pass"),
    ],
)
def test_the_verdict_has_its_colour_at_a_terminal_alone(found: Validation, sequence: str, word: str) -> None:
    assert shown(found, force_terminal=True).splitlines()[-1].startswith(f"{sequence}{word}")
    assert "\x1b" not in shown(found)


def test_a_key_and_its_word_make_no_command_together() -> None:
    cause = CauseRecord(cause=":", says="error")
    assert not hidden(shown(made.validation(causes=[cause])))


@pytest.mark.fuzz
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made.validations())
def test_nothing_hides_in_it(found: Validation) -> None:
    assert not hidden(shown(found))
    assert not hidden_at_a_terminal(shown(found, force_terminal=True))
    assert not hidden(shown(found.plan))
