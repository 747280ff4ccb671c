"""What must be said of a planted fault, and what must not be said of a clean run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from adapters.contract import Scenario
from adapters.faults import Fault, Plan
from harness.judging.judge import Judgement, judge
from harness.oracle.basis_cache import BasisCache
from tests.faults import simulate

REPORTS = {"loss.value", "grad-norm.value"}


def judged(scenario: Scenario, plan: Plan, cache: BasisCache) -> Judgement:
    """Train by that plan, and judge what was recorded."""
    with tempfile.TemporaryDirectory() as folder:
        return judge(simulate.run(scenario, plan, Path(folder)), cache)


def told(judgement: Judgement) -> str:
    """All that was said, for the message of a failing test."""
    lines = [f"{f.code}: {f.message}" for f in judgement.findings]
    lines += [f"{d.cause} ({d.explains:.3g}): {d.summary} | {d.evidence}" for d in judgement.diagnoses]
    return "\n".join(lines) or "nothing"


def assert_clean(judgement: Judgement) -> None:
    assert not judgement.findings, told(judgement)
    assert not judgement.diagnoses, told(judgement)


def assert_named(judgement: Judgement, fault: Fault) -> None:
    """The fault is found, and its cause is the only one that is named."""
    assert {f.code for f in judgement.findings} & set(fault.codes), told(judgement)
    assert [d.cause for d in judgement.diagnoses] == [fault.cause], told(judgement)


def assert_hidden(judgement: Judgement, fault: Fault) -> None:
    """Nothing is said of a step that is right; a report may still be wrong, and may betray the fault."""
    assert {f.code for f in judgement.findings} <= REPORTS, told(judgement)
    assert {d.cause for d in judgement.diagnoses} <= {"misreported", fault.cause}, told(judgement)
