"""A trace is held against what was wanted, whoever says it: right by the right intent, named by any other."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.contract import INTENT
from adapters.faults import CATALOGUE, RIGHT, Plan
from harness.intent import file
from harness.intent.file import BadIntent
from harness.intent.intent import Drawn, Given, Group, Intent, Mean, Sum
from harness.intent.schedule import Schedule
from harness.judging import judge
from harness.oracle.basis_cache import BasisCache
from harness.verdicts import verdict
from scenarios import text
from tests.faults.proof import assert_clean, told
from tests.fuzzing import examples
from tests.harness import breaking
from tests.harness.judging import wanted
from tests.harness.refused import unreadable
from tests.mutants import json_changes

LEVELS = ("micro-batch", "rank", "micro-step", "row")


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wanted.made(RIGHT, tmp_path_factory.mktemp("right"))


@pytest.fixture
def copy(right: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(right, tmp_path / "trace"))


def test_the_right_intent_passes(right: Path, bases: BasisCache) -> None:
    assert_clean(judge.judge(right, bases, wanted.intent()))
    assert_clean(judge.judge(right, bases, wanted.intent(windows=None)))
    assert_clean(judge.judge(right, bases, wanted.intent(aggregation=wanted.given(0, 1.0))))


def test_windows_that_a_framework_chooses_have_its_micro_batches(tmp_path: Path, bases: BasisCache) -> None:
    trace = wanted.made(Plan(level="micro-batch"), tmp_path, order="shuffled")
    intent = wanted.intent(windows=None, drawn=Drawn(16, 16), aggregation=Mean("micro-batch"))
    judged = judge.judge(trace, bases, intent)
    assert_clean(judged)
    assert [step.right.micro_batches for step in judged.steps] == [2, 2]


def test_rows_may_be_lost_where_the_last_epoch_is_not_whole(tmp_path: Path, bases: BasisCache) -> None:
    words = text.vocabulary(64)
    more = text.conversations(words, [*[4, 3, 5, 2] * 4, 3], [*wanted.RESPONSES, 3], 0)
    trace = wanted.made(RIGHT, tmp_path, order="shuffled", rows=more)
    judged = judge.judge(trace, bases, wanted.intent(windows=None, drawn=Drawn(17, 17)))
    assert [f.code for f in judged.findings] == ["run.incomplete"]
    assert "ends with 16 of the 17 rows of an epoch" in judged.findings[0].message
    assert_clean(judge.judge(trace, bases, wanted.intent(drawn=Drawn(17, 17))))


@pytest.mark.parametrize("name", wanted.WRONG)
def test_a_wrong_intent_is_named(right: Path, bases: BasisCache, name: str) -> None:
    intent, code, cause = wanted.WRONG[name]
    judged = judge.judge(right, bases, intent)
    assert code in {f.code for f in judged.findings}, told(judged)
    assert [d.cause for d in judged.diagnoses] == [cause], told(judged)
    assert len(judged.steps) == 2


def test_what_is_said_of_a_wrong_aggregation_mask_and_limit(right: Path, bases: BasisCache) -> None:
    def first(name: str) -> str:
        judged = judge.judge(right, bases, wanted.WRONG[name][0])
        return next(f.message for f in judged.findings if f.code == wanted.WRONG[name][1])

    assert "follow a mean over all tokens: x N they run from" in first("mean over sequences")
    assert "by a mean over the sequences, each averaged by itself" in first("mean over sequences")
    assert first("everything trained").startswith("the tokens of the responses are trained, and no others at step 0")
    assert first("smaller limit").startswith("the gradient was clipped to 1.0 at step 0: norm ")
    assert "losses are averaged over the tokens" in first("sum over what makes it short")


MADE: dict[str, tuple[Plan, Intent]] = {
    **{level: (Plan(level=level), wanted.intent(aggregation=Mean(level))) for level in LEVELS},
    "sum": (Plan(divisor=50.0), wanted.intent(aggregation=Sum(50.0))),
    "given": (Plan(row_factor=(3, 2.5)), wanted.intent(aggregation=wanted.given(3, 2.5))),
    "everything": (Plan(mask="everything"), wanted.intent(trained="everything")),
    "tag": (Plan(mask="with-tag"), wanted.intent(trained="with-tag")),
    "unclipped": (Plan(clip="none"), wanted.intent(max_grad_norm=None)),
}


@pytest.mark.parametrize("name", MADE)
def test_what_was_made_otherwise_on_purpose_passes_by_its_own_intent_alone(
    name: str, tmp_path: Path, bases: BasisCache
) -> None:
    plan, intent = MADE[name]
    trace = wanted.made(plan, tmp_path)
    assert_clean(judge.judge(trace, bases, intent))
    assert judge.judge(trace, bases).findings


@pytest.mark.parametrize("name", ["drop-intermediate", "keep-first", "mean-of-micro-batches", "no-clipping"])
def test_a_planted_fault_is_found_by_an_intent_that_is_not_a_mean_of_tokens(
    name: str, tmp_path: Path, bases: BasisCache
) -> None:
    """It is planted in a mean over sequences, which is what is wanted."""
    plan = CATALOGUE[name].plan
    plan = replace(plan, level="row") if plan.level == "token" else plan
    longer = {"accumulation": 4, "micro_batch_size": 1} if name == "drop-intermediate" else {}
    trace = wanted.made(plan, tmp_path, **longer)
    judged = judge.judge(trace, bases, wanted.intent(aggregation=Mean("row"), windows=None, **longer))
    assert {f.code for f in judged.findings} & set(CATALOGUE[name].codes), told(judged)
    assert [d.cause for d in judged.diagnoses] == [CATALOGUE[name].cause], told(judged)


# ---- an intent that the trace carries


def carry(trace: Path, intent: Intent) -> None:
    (trace / INTENT).write_text(file.dumps(intent))
    breaking.reseal(trace)


def test_a_trace_is_held_against_the_intent_that_it_carries(copy: Path, bases: BasisCache) -> None:
    carry(copy, wanted.intent())
    assert_clean(judge.judge(copy, bases))
    carry(copy, wanted.intent(max_grad_norm=0.5))
    assert [d.cause for d in judge.judge(copy, bases).diagnoses] == ["clipping"]
    assert_clean(judge.judge(copy, bases, wanted.intent()))  # what is given goes first
    assert_clean(judge.judge(copy, bases, carried=False))


def test_an_intent_that_the_seal_does_not_list_is_refused(copy: Path, bases: BasisCache) -> None:
    (copy / INTENT).write_text(file.dumps(wanted.intent()))
    assert "intent.json is no file of a trace" in unreadable(copy, bases)


def test_one_that_was_changed_after_it_was_written_is_refused(copy: Path, bases: BasisCache) -> None:
    carry(copy, wanted.intent())
    (copy / INTENT).write_text(file.dumps(wanted.intent(max_grad_norm=None)))
    assert "checksum differs" in unreadable(copy, bases)


@pytest.mark.parametrize(
    ("intent", "said"),
    [
        (wanted.intent(ranks=3, windows=None), "the intent is of 3 ranks, and 2 ran"),
        (wanted.intent(steps=1, windows=None), "the intent is of 1 optimizer steps, and 2 were made"),
        (wanted.intent(auxiliary=0.1), "the intent has a load-balancing loss, and llama has no router"),
        (wanted.intent(windows=((((99,), ()), ((), ())),) * 2), "a row 99 in its windows, and there are 16"),
        (wanted.intent(drawn=Drawn(2**20, 1), windows=None), "an order of 1048576 rows, and there are 16"),
        (wanted.intent(drawn=Drawn(16, 2**20)), "epochs of 1048576 rows, and none of 16 has more than 32"),
        (wanted.intent(aggregation=Given(((1.0,),))), "gives weights for 1 rows, and there are 16"),
        (wanted.intent(aggregation=Given(((1.0,),) * 16)), "gives 1 weights for row 0, which has"),
        (
            wanted.intent(rule=replace(wanted.intent().rule, groups=(Group(("*norm*",)),))),
            "holds the tensor model.embed",
        ),
    ],
)
def test_an_intent_of_another_run_is_refused(
    right: Path, copy: Path, bases: BasisCache, intent: Intent, said: str
) -> None:
    with pytest.raises(BadIntent) as error:
        judge.judge(right, bases, intent)
    assert said in str(error.value)
    carry(copy, intent)
    (finding,) = judge.judge(copy, bases).findings
    assert finding.code == "run.unreadable"
    assert said in finding.message


def test_an_intent_that_weighs_nothing_cannot_be_judged(right: Path, bases: BasisCache) -> None:
    weights = tuple(tuple(0.0 for _ in row) for row in wanted.given(0, 1.0).weights)
    (finding,) = judge.judge(right, bases, wanted.intent(aggregation=Given(weights))).findings
    assert finding.code == "run.incomplete"
    assert "no token of step 0 has a weight by the intent" in finding.message


@pytest.mark.parametrize(
    "changed",
    [
        {"max_grad_norm": 1e-30},
        {"aggregation": Sum(1e12)},
        {"schedule": Schedule("given", factors=(1e-20, 1.0))},
        {"rule": replace(wanted.intent().rule, beta1=1 - 1e-12)},
    ],
)
def test_an_intent_that_rounding_drowns_proves_nothing(right: Path, bases: BasisCache, changed: dict[str, Any]) -> None:
    """The floor is measured of a step as it is intended; next to moments that are not so small it says nothing."""
    judged = judge.judge(right, bases, wanted.intent(**changed))
    said = [f.message for f in judged.findings if f.code == "run.incomplete"]
    assert said
    assert all(message.startswith("rounding alone would be ") for message in said)
    assert verdict.outcome(judged.findings) != "pass"


def test_weights_below_0_are_weights(right: Path, bases: BasisCache) -> None:
    """As advantages are: of a trace that was made of others, that is told, and nothing crashes."""
    judged = judge.judge(right, bases, wanted.intent(aggregation=wanted.given(0, -2.0)))
    assert "weights.aggregation" in {f.code for f in judged.findings}, told(judged)
    assert "run.incomplete" not in {f.code for f in judged.findings}, told(judged)


def test_a_broken_intent_is_told_in_a_line(copy: Path, bases: BasisCache) -> None:
    for content in ("", "[]", '{"schema": 1}', json.dumps({"schema": 1, "rule": {}}), "[" * 99999):
        (copy / INTENT).write_text(content)
        breaking.reseal(copy)
        (finding,) = judge.judge(copy, bases).findings
        assert finding.code == "run.unreadable"
        assert "intent.json" in finding.message
        assert "\n" not in finding.message


@pytest.mark.fuzz
@pytest.mark.slow
@settings(deadline=None, max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.randoms(use_true_random=False))
def test_a_changed_intent_crashes_nothing(right: Path, tmp_path: Path, bases: BasisCache, draw: random.Random) -> None:
    """It is refused in a line, or the steps are held against what it says now."""
    trace = tmp_path / "trace"
    shutil.rmtree(trace, ignore_errors=True)
    shutil.copytree(right, trace)
    try:
        document, _, _ = json_changes.change(json.loads(file.dumps(wanted.intent())), draw)
    except json_changes.Unchanged:
        return
    (trace / INTENT).write_text(json_changes.text(document), errors="surrogatepass")
    breaking.reseal(trace)
    for judged in (judge.judge(trace, bases), judge.describe(trace, bases)):
        assert not [f.message for f in judged.findings if "crashed: " in f.message]
        assert all("\n" not in f.message and len(f.message) < 1000 for f in judged.findings)
