"""A plan and a validation in Markdown."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from harness.validation.record import Validation
from reports.validation import markdown, told
from tests.fuzzing import examples
from tests.harmless import hidden, live
from tests.harness.validation import written
from tests.reports.made import HOSTILE
from tests.reports.validation import made


@pytest.mark.fuzz
@settings(max_examples=examples(60), deadline=None)
@given(HOSTILE, HOSTILE)
def test_nothing_in_a_plan_is_alive(one: str, other: str) -> None:
    values = {
        **written.TRL,
        "report_to": one,
        other[:100]: 1,
        "optim": one,
        "deepspeed": other,
    }  # a key of YAML has 1,024 characters at most
    with tempfile.TemporaryDirectory() as folder:
        plan = written.of(str(written.file(Path(folder), "x.yaml", values)))
    assert not live(markdown.page(plan))
    assert not hidden(markdown.page(plan))


@pytest.mark.fuzz
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made.validations())
def test_nothing_in_a_validation_is_alive(found: Validation) -> None:
    assert not live(markdown.page(found))
    assert not hidden(markdown.page(found))


def test_the_worst_comes_first(tmp_path: Path) -> None:
    values = {**written.TRL, "frobnicate": 1}
    plan = written.of(str(written.file(tmp_path, "x.yaml", values)))
    page = markdown.page(plan)
    places = [page.index(f"| {word} |") for word in ("unknown to this release", "swapped -> sdpa", "kept")]
    assert places == sorted(places)
    assert told.counts(plan).startswith(f"{len(values)} keys: 1 unknown to this release, ")
    assert "| frobnicate | 1 | unknown to this release |" in page


def test_the_verdict_comes_first_with_its_cause_and_what_to_do() -> None:
    page = markdown.page(made.failing())
    assert page.startswith("# ❌ FAIL: trl's own command\n")
    said = (
        "**dropped-micro-batches**: micro-batch 1 of 4",
        f"- remedy: {made.REMEDY}",
        "(and 2 more)",
        "## The ledger",
    )
    places = [page.index(each.replace(">=", r"\>=") if each not in page else each) for each in said]
    assert places == sorted(places)
    assert "| decay | none | **differs:** 0.1 of all | ds.json |" in page
    assert page.endswith("## Again\n\n```sh\nlockstep validate sft.yaml --world 8\n```\n")


def test_what_was_not_told_is_told() -> None:
    page = markdown.page(made.unknown())
    assert page.startswith("# ❔ unknown: ")
    assert "- not finished: rank 1 was killed" in page
    assert "- unknown: step 3 is not whole" in page
