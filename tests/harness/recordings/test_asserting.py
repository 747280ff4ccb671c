"""What a test asks of a recording, and what it says when it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.intent.file import BadIntent, dumps
from harness.intent.intent import Given, Group, Intent, Mean, Rule, Sum
from harness.recordings import asserting
from harness.recordings.telling import Told
from harness.traces.text_files import UnreadableTrace
from harness.verdicts.findings import Finding
from tests.harness.recordings import loops


def recorded(folder: Path, **how: Any) -> Path:
    model = loops.llama()
    loops.record(folder, lambda: loops.train(model, **how))
    return folder


@pytest.fixture(scope="module")
def token_mean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("token"))


@pytest.fixture(scope="module")
def mean_of_means(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("means"), loss=loops.mean_of_means)


def intent(**changed: Any) -> Intent:
    groups = (Group(("*",), 0.01),)
    wanted = {
        "rule": Rule(groups),
        "steps": 3,
        "ranks": 1,
        "accumulation": 4,
        "micro_batch_size": 2,
        "max_grad_norm": 1.0,
    }
    return Intent(**{**wanted, **changed})


def codes(folder: Path, wanted: Any) -> set[str]:
    told = asserting.against(folder, wanted)
    assert not told.unknown
    return {finding.code for finding in told.findings}


@pytest.mark.parametrize("wanted", ["token", Mean("token"), Mean("rank"), intent(), intent(aggregation=Mean("rank"))])
def test_what_fits_a_token_mean(token_mean: Path, wanted: Any) -> None:
    assert codes(token_mean, wanted) == set()


@pytest.mark.parametrize("wanted", ["micro-batch", Mean("micro-step"), intent(aggregation=Mean("micro-batch"))])
def test_what_fits_a_mean_of_means(mean_of_means: Path, wanted: Any) -> None:
    assert codes(mean_of_means, wanted) == set()


@pytest.mark.parametrize("wanted", ["micro-batch", "row", Sum(1.0), intent(aggregation=Mean("row"))])
def test_what_a_token_mean_is_not(token_mean: Path, wanted: Any) -> None:
    assert codes(token_mean, wanted)


def test_it_says_what_it_is_and_what_was_wanted(mean_of_means: Path) -> None:
    first = asserting.against(mean_of_means, "token").findings[0]
    assert first.code == "weights.aggregation"
    assert first.message == (
        "step 0: a mean over the micro-batches, each averaged by itself; wanted is a mean over the tokens of the window"
    )


def test_an_intent_of_another_run_or_rule(token_mean: Path) -> None:
    assert codes(token_mean, intent(accumulation=3))
    assert "update.clip" in codes(token_mean, intent(max_grad_norm=0.5))
    with pytest.raises(BadIntent, match="2 ranks, and 1 ran"):
        asserting.against(token_mean, intent(ranks=2))
    with pytest.raises(BadIntent, match="rows of a scenario"):
        asserting.against(token_mean, intent(aggregation=Given(((1.0,),))))


def test_a_clipped_gradient_where_no_clipping_is_wanted(tmp_path: Path) -> None:
    folder = recorded(tmp_path, clip=0.5)
    assert codes(folder, "token") == set()
    assert codes(folder, intent(max_grad_norm=0.5)) == set()
    assert "update.clip" in codes(folder, intent(max_grad_norm=None))


def test_the_file_of_an_intent(token_mean: Path, tmp_path: Path) -> None:
    path = tmp_path / "wanted.json"
    path.write_text(dumps(intent()))
    assert codes(token_mean, path) == codes(token_mean, str(path)) == set()
    with pytest.raises(BadIntent, match="no aggregation such as token, micro-batch, rank, micro-step, row"):
        asserting.against(token_mean, "tokens")


def test_weights(token_mean: Path) -> None:
    found = asserting.weights(token_mean)
    assert list(found) == [0, 1, 2]
    heavy = found[0].weights[found[0].weights > 1e-4]
    torch.testing.assert_close(heavy, torch.full((110,), 1 / 110, dtype=torch.float64), rtol=1e-4, atol=0.0)


def test_nothing_was_recorded(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTrace, match="nothing was recorded"):
        asserting.told(tmp_path / "none")


def told(findings: tuple[Finding, ...] = (), unknown: tuple[str, ...] = ()) -> Told:
    return Told(("step 0: a sentence",), findings, unknown, ())


def test_a_right_run_has_no_message() -> None:
    assert asserting.failure(told(), Path("x"), None) is None


def test_a_message_joins_steps_and_is_short() -> None:
    words = ("step 0: too long", "too long at step 1", "step 2: too long")
    same = tuple(Finding("weights.scale", message, n) for n, message in enumerate(words))
    many = tuple(Finding("weights.mask", f"text {n} is not trained") for n in range(30))
    message = asserting.failure(told((*same, *many)), Path("x"), None)
    assert message is not None
    lines = message.splitlines()
    assert lines[:3] == [
        "lockstep: the training is not right",
        "  weights.scale  steps 0, 1, 2: too long",
        "  weights.mask  text 0 is not trained",
    ]
    assert "  and 21 more" in lines
    assert lines[-3:] == ["what its steps did:", "  step 0: a sentence", "all of it: lockstep judge x"]


def test_what_is_unknown_fails_unless_it_is_allowed() -> None:
    unknown = told(unknown=("the weights of step 0's tokens: the head is frozen", "recording ended early: no"))
    message = asserting.failure(unknown, Path("x"), "head is frozen")
    assert message is not None
    assert "it is not known whether the training is right\n  unknown  recording ended early: no\n" in message
    assert asserting.failure(unknown, Path("x"), "frozen|ended") is None
    wrong = told((Finding("weights.scale", "step 0: too long", 0),), ("the head is frozen",))
    assert asserting.failure(wrong, Path("x"), "frozen") is not None
