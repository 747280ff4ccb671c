"""Recordings held against an intent: what is found, and what is said to be open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import scenarios
from adapters.contract import vary
from harness import cli
from harness.intent import file
from harness.intent.intent import Given, Group, Intent, Mean, Rule, TokenLoss
from harness.intent.schedule import Schedule
from harness.recordings import held, reader, telling
from harness.recordings.reader import Recording
from tests.harness.recordings import loops

RULE = Rule((Group(("*",), 0.01),), 1e-3)
WANTED = Intent(RULE, steps=3, ranks=1, accumulation=4, micro_batch_size=2, max_grad_norm=0.5)


def recorded(folder: Path, **how: Any) -> Recording:
    model = loops.llama()
    loops.record(folder, lambda: loops.train(model, **{"clip": 0.5, **how}))
    return reader.read(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("right")
    recorded(folder)
    return folder


@pytest.fixture(scope="module")
def right(folder: Path) -> Recording:
    return reader.read(folder)


def test_what_was_wanted_is_no_finding(right: Recording) -> None:
    found = telling.tell(right, WANTED)
    assert not found.findings
    assert not found.unknown
    assert "the token ids, which are not held against any; nor are numbers that a log reported" in found.open
    assert telling.tell(right).open == ()


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"aggregation": Mean("row")}, "weights.aggregation", "follow a mean over all tokens"),
        ({"max_grad_norm": None}, "update.clip", "was clipped to 0.5"),
        ({"max_grad_norm": 0.25}, "update.clip", "was clipped to 0.5"),
        ({"trained": "no-eos"}, "weights.mask", "the tokens of the responses are trained, and no others"),
        ({"trained": "everything"}, "weights.mask", "the tokens of the responses are trained, and no others"),
        ({"accumulation": 2}, "inputs.batch", "rank 0 had 4 micro-batches at step 0, expected 2"),
        ({"micro_batch_size": 1}, "inputs.batch", "rank 0 had 2 texts in micro-batch 0 at step 0, expected 1"),
        ({"rule": replace(RULE, learning_rate=2e-3)}, "update.learning-rate", "moved with learning rate 0.001"),
        ({"schedule": Schedule("linear-warmup", 4)}, "update.learning-rate", "expected 0.00025"),
        ({"rule": replace(RULE, groups=(Group(("*",), 0.1),))}, "update.weight-decay", "all tensors decayed by 0.01"),
        (
            {"rule": replace(RULE, groups=(Group(("*norm*",)), Group(("*",), 0.01)))},
            "update.weight-decay",
            "5 tensors (model.layers.0.input_layernorm.weight, ...) decayed by 0.01",
        ),
        ({"rule": replace(RULE, beta1=0.8)}, "update.moments", "the moments follow beta1 = 0.9 at step 1"),
    ],
)
def test_what_was_not_wanted(right: Recording, changed: dict[str, Any], code: str, words: str) -> None:
    found = telling.tell(right, replace(WANTED, **changed)).findings
    assert {finding.code for finding in found} == {code}
    assert any(words in finding.message for finding in found), found


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ({"loss": loops.mean_of_means}, "weights.mean-of-means", "follow a mean over each micro-batch"),
        ({"eps": 1e-5}, "update.moments", "eps = 1e-05 explains it, expected 1e-08"),
        ({"clip": None}, "update.clip", "the gradient was not clipped at step 0"),
        ({"rate": lambda step: 1e-3 * min(step, 1)}, "update.learning-rate", "moved with learning rate 0 at step 0"),
    ],
)
def test_what_went_otherwise(tmp_path: Path, how: dict[str, Any], code: str, words: str) -> None:
    found = telling.tell(recorded(tmp_path, **how), WANTED).findings
    assert {finding.code for finding in found} == {code}
    assert any(words in finding.message for finding in found), found


def test_a_factor_is_found_where_nothing_is_clipped(tmp_path: Path) -> None:
    found = telling.tell(
        recorded(tmp_path, loss=loops.undivided, clip=None), replace(WANTED, max_grad_norm=None)
    ).findings
    assert {finding.code for finding in found} == {"weights.scale"}
    assert "is 4 times what it should be: gradient_accumulation_steps" in found[0].message


def test_coarse_arithmetic_where_fine_was_wanted(tmp_path: Path) -> None:
    def coarse(model: torch.nn.Module, one: loops.MicroBatch, every: int) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loops.token_mean(model, one, every)

    recording = recorded(tmp_path, loss=coarse)
    assert {f.code for f in telling.tell(recording, WANTED).findings} == {"numerics.dtype"}
    assert not telling.tell(recording, replace(WANTED, precision="bf16")).findings


def test_without_labels_it_is_open_which_tokens_should_be_trained(tmp_path: Path) -> None:
    def unlabelled(model: torch.nn.Module, one: loops.MicroBatch, every: int) -> torch.Tensor:
        logits = model(input_ids=one.ids, attention_mask=one.attended).logits[:, :-1].flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, one.labels[:, 1:].flatten(), reduction="sum") / every

    found = telling.tell(recorded(tmp_path, loss=unlabelled), WANTED)
    assert not found.findings
    assert any(sentence.startswith("which tokens should be trained") for sentence in found.open)


def test_what_cannot_be_of_the_run(right: Recording) -> None:
    wrong = {
        "2 ranks": replace(WANTED, ranks=2),
        "speaks of rows": replace(WANTED, aggregation=Given(((1.0,),))),
        "smooths labels": replace(WANTED, token_loss=TokenLoss(label_smoothing=0.1)),
        "no group of the intent holds the tensor": replace(WANTED, rule=replace(RULE, groups=(Group(("lm_head*",)),))),
    }
    for words, intent in wrong.items():
        said = held.misfit(intent, right)
        assert said is not None
        assert words in said


def test_by_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wanted.json"
    path.write_text(file.dumps(WANTED))
    assert cli.call(["judge", str(folder), "--intent", str(path)]) == 0
    said = capsys.readouterr().out
    assert "open  whether conversations see each other" in said
    assert "micro-batches of a rank" in said
    path.write_text(file.dumps(replace(WANTED, aggregation=Mean("row"))))
    assert cli.call(["judge", str(folder), "--intent", str(path)]) == 1
    assert "weights.aggregation" in capsys.readouterr().out


def test_like_a_scenario(right: Recording) -> None:
    intent = held.like(vary(scenarios.get("sft-ragged-decay"), ranks=1), right)
    assert held.misfit(intent, right) is None
    found = telling.tell(right, intent).findings
    assert {f.code for f in found} == {"inputs.batch", "update.clip", "update.weight-decay"}


def test_wrong_usage(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wanted.json"
    path.write_text(file.dumps(WANTED))
    for options in (
        ["--like", "no-such-scenario"], ["--like", "sft-ragged"], ["--intent", str(tmp_path / "none.json")],
        ["--intent", str(path), "--like", "sft-ragged"], ["--intent", str(path), "--describe"], ["--write"],
    ):  # fmt: skip
        assert cli.call(["judge", str(folder), *options]) == 2, options
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
