"""What a real release recorded, held against the right intent and wrong ones, and described."""

from __future__ import annotations

from dataclasses import replace

import pytest

import scenarios
from harness.intent.intent import Intent, Mean
from harness.intent.of_scenario import of_scenario
from harness.intent.schedule import Schedule
from harness.judging import judge
from harness.oracle.basis_cache import BasisCache
from tests.faults.proof import assert_clean, told
from tests.frameworks.command import Run

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

RELEASE = "torch==2.13.0"
INTENT = of_scenario(scenarios.get("sft-ragged-decay"))
GROUPS = tuple(replace(group, weight_decay=0.0) for group in INTENT.rule.groups)

WRONG: dict[str, tuple[Intent, str]] = {
    "aggregation": (replace(INTENT, aggregation=Mean("row")), "aggregation"),
    "clipping": (replace(INTENT, max_grad_norm=0.5), "clipping"),
    "schedule": (replace(INTENT, schedule=Schedule("linear-warmup", 4)), "learning-rate-schedule"),
    "decay": (replace(INTENT, rule=replace(INTENT.rule, groups=GROUPS)), "weight-decay"),
    "mask": (replace(INTENT, trained="everything"), "loss-mask"),
}
"""Each with the one cause that must be named."""


@pytest.fixture(scope="module")
def cache() -> BasisCache:
    return BasisCache()


def test_the_right_intent_passes(newest: Run, cache: BasisCache) -> None:
    assert_clean(judge.judge(newest.trace(f"{RELEASE}/sft-ragged-decay"), cache, INTENT))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_is_named(newest: Run, cache: BasisCache, name: str) -> None:
    intent, cause = WRONG[name]
    judged = judge.judge(newest.trace(f"{RELEASE}/sft-ragged-decay"), cache, intent)
    assert [d.cause for d in judged.diagnoses] == [cause], told(judged)


@pytest.mark.parametrize("release", [RELEASE, "trl==1.16.0"])
def test_a_trace_without_one_is_described(newest: Run, cache: BasisCache, release: str) -> None:
    judged = judge.describe(newest.trace(f"{release}/sft-ragged-decay"), cache)
    assert_clean(judged)
    assert judged.description[1].startswith("every trained token of the 4 micro-batches and 2 ranks weighs 0.5576/140")
    assert ": a mean over the tokens of the window, clipped 1.79, " in judged.description[1]
    assert "weight decay 0.1 on 16 matrices, 0 on 5 norms and biases" in judged.description
