"""Traces that are forged, every checksum right: refused in one line or found wrong, and none is judged a pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapters.contract import END, HEADER, batches_file, steps_file, tensors_file
from harness.oracle.basis_cache import BasisCache
from harness.verdicts import verdict
from tests.harness import breaking
from tests.harness.refused import judged, unreadable


def _bomb(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("name", [HEADER, END, steps_file(0), batches_file(0)])
@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "7", '"x"', _bomb(100_000), '{"schema":' * 5000, "\x00", "\xff\xfe", "9" * 10_000],
    ids=["empty", "open", "list", "null", "number", "string", "deep", "deep-objects", "nul", "not-utf8", "long-number"],
)
def test_what_is_no_json_object(trace: Path, bases: BasisCache, name: str, content: str) -> None:
    (trace / name).write_bytes(content.encode("latin-1"))
    if name != END:
        breaking.reseal(trace)
    findings = judged(trace, bases)
    # A file of no lines is a file: then it is its steps or rows that are missing.
    assert (content == "" and name in (steps_file(0), batches_file(0))) or findings[0].code == "run.unreadable"


@pytest.mark.parametrize(
    "change",
    [
        lambda end: end.pop("steps"),
        lambda end: end.update(steps=-1),
        lambda end: end.update(steps=10**9),
        lambda end: end.update(steps=10**30),
        lambda end: end.update(steps=99_999),
        lambda end: end.update(steps=3),
        lambda end: end.update(steps=2.0),
        lambda end: end.update(steps=True),
        lambda end: end.update(steps="2"),
        lambda end: end.update(steps=None),
        lambda end: end.pop("files"),
        lambda end: end.update(files=[]),
        lambda end: end.update(files={}),
        lambda end: end["files"].update({HEADER: None}),
        lambda end: end["files"].pop(tensors_file(1, 1)),
    ],
)
def test_a_seal_that_says_something_else(trace: Path, bases: BasisCache, change: breaking.Change) -> None:
    breaking.edit(trace / END, change)
    unreadable(trace, bases)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_that_was_short(trace: Path, bases: BasisCache, steps: int) -> None:
    breaking.edit(trace / END, lambda end: end.update(steps=steps))
    (finding,) = judged(trace, bases)
    assert finding.code == "run.incomplete"
    assert finding.message.startswith(f"{steps} of 2 optimizer steps")


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head.update(ranks=1),
        lambda head: head.update(ranks=3),
        lambda head: head.update(ranks=0),
        lambda head: head.update(ranks=-2),
        lambda head: head.update(ranks=10**12),
        lambda head: head.update(ranks="many\nranks"),
        lambda head: head.pop("ranks"),
        lambda head: head.pop("framework"),
        lambda head: head.update(framework=5),
        lambda head: head.update(scenario=None),
        lambda head: head.update(scenario="sft-ragged"),
        lambda head: head.update(scenario_hash="0" * 16),
        lambda head: head.update(scenario_hash=None),
        lambda head: head.update(shims="none"),
        lambda head: head.update(packages=[["torch", 1]]),
        lambda head: head["scenario"].update(steps=1),
        lambda head: head["scenario"].update(max_grad_norm=None),
        lambda head: head["scenario"]["optimizer"].update(weight_decay=0.1),
        lambda head: head["scenario"]["rows"].reverse(),
    ],
)
def test_an_edited_header(trace: Path, bases: BasisCache, change: breaking.Change) -> None:
    breaking.header(trace, change)
    assert HEADER in unreadable(trace, bases)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(steps=0), "steps"),
        (lambda s: s.update(steps=-3), "steps"),
        (lambda s: s.update(steps=10**15), "rows"),
        (lambda s: s.update(ranks=1), "ranks"),
        (lambda s: s.update(ranks=4, micro_batch_size=1, accumulation=1), "ranks"),
        (lambda s: s["model"].update(layers=2), "record it again"),
        (lambda s: s["model"].update(layers=1000), "record it again"),
        (lambda s: s["model"].update(hidden_size=2**30), "record it again"),
        (lambda s: s["model"].update(vocab_size=65), "vocabulary"),
        (lambda s: s["rows"][0][0].update(content="no-such-word"), "no-such-word"),
        (lambda s: s["rows"][0].clear(), "rows"),
        (lambda s: s["vocabulary"].__setitem__(1, "end"), "<eos>"),
        (lambda s: s["vocabulary"].__setitem__(4, "me"), "<|assistant|>"),
        (lambda s: s.update(rows=[[["x"]]]), "scenario"),
        (lambda s: s.update(colour="red\ngreen"), "colour"),
    ],
)
def test_another_scenario_with_a_right_hash(trace: Path, bases: BasisCache, change: breaking.Change, said: str) -> None:
    breaking.scenario(trace, change)
    findings = judged(trace, bases)
    assert findings[0].code in ("run.unreadable", "run.incomplete")
    assert findings[0].code == "run.incomplete" or said in findings[0].message
    assert verdict.outcome(findings) == "unknown"


def _first(change: Callable[[dict[str, object]], object]) -> breaking.Change:
    def apply(lines: list[dict[str, object]]) -> None:
        change(lines[0])

    return apply


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_first(lambda b: b["input_ids"][0].__setitem__(2, 64)), "input_ids has 64, expected 0 to 63"),
        (_first(lambda b: b["input_ids"][0].__setitem__(2, -1)), "input_ids has -1"),
        (_first(lambda b: b["input_ids"][0].__setitem__(2, 10**30)), "input_ids"),
        (_first(lambda b: b["input_ids"][0].__setitem__(2, "5.5")), "input_ids.0.2"),
        (_first(lambda b: b["input_ids"][0].__setitem__(2, None)), "input_ids.0.2"),
        (_first(lambda b: b["input_ids"][0].pop()), "another shape"),
        (_first(lambda b: b["input_ids"].append([1])), "expected one length"),
        (_first(lambda b: b["input_ids"].append(list(b["input_ids"][0]))), "another shape"),
        (_first(lambda b: b.update(input_ids=[])), "input_ids"),
        (_first(lambda b: b.update(input_ids=[[]], attention_start=[[]], loss_mask=[[]])), "input_ids"),
        (_first(lambda b: b.update(input_ids=5)), "input_ids"),
        (_first(lambda b: b["attention_start"][0].__setitem__(1, 1000)), "attention_start has 1000"),
        (_first(lambda b: b["attention_start"][0].__setitem__(1, -3)), "attention_start has -3"),
        (_first(lambda b: b["attention_start"].clear()), "attention_start has another shape"),
        (_first(lambda b: b.pop("attention_start")), "attention_start"),
        (_first(lambda b: b.update(loss_mask=[[7] * len(b["input_ids"][0])])), "loss_mask has 7"),
        (_first(lambda b: b.update(loss_mask=[[1] * 3])), "loss_mask has another shape"),
        (_first(lambda b: b.update(position_ids=[[0]])), "position_ids has another shape"),
        (_first(lambda b: b.update(position_ids=[[10**25] * len(b["input_ids"][0])])), "position_ids has 1000"),
        (_first(lambda b: b.update(rank=1)), "rank is 1, expected 0"),
        (_first(lambda b: b.update(rank=-1)), "rank is -1"),
        (_first(lambda b: b.update(step=-1)), "step -1"),
        (_first(lambda b: b.update(step=10**25)), "follows step"),
        (_first(lambda b: b.update(micro_batch=5)), "micro-batch 5 follows"),
        (_first(lambda b: b.pop("step")), "step"),
        (lambda lines: lines[:1] + lines, "follows"),
        (lambda lines: lines[::-1], "follows"),
        (lambda lines: lines[1:], "follows"),
    ],
)
def test_batches_that_no_model_can_have_received(
    trace: Path, bases: BasisCache, change: breaking.Change, said: str
) -> None:
    breaking.batches(trace, change)
    message = unreadable(trace, bases)
    assert f"{batches_file(0)} line " in message
    assert said in message


def test_batches_without_a_trained_token(trace: Path, bases: BasisCache) -> None:
    def pad_all(lines: list[dict[str, list[list[int]]]]) -> None:
        for line in lines:
            line["attention_start"] = [[-1] * len(s) for s in line["attention_start"]]

    for rank in range(2):
        breaking.batches(trace, pad_all, rank)
    (finding,) = judged(trace, bases)
    assert finding.code == "run.incomplete"
    assert "no trained token" in finding.message


def test_batches_of_one_rank_lost(trace: Path, bases: BasisCache) -> None:
    breaking.batches(trace, lambda lines: [], rank=1)
    assert "inputs.batch" in {f.code for f in judged(trace, bases)}


def test_too_few_reported_steps(trace: Path, bases: BasisCache) -> None:
    breaking.reported(trace, lambda lines: lines[:1])
    (finding,) = judged(trace, bases)
    assert (finding.code, finding.step) == ("run.incomplete", 1)
    assert verdict.outcome([finding]) == "unknown"


@pytest.mark.parametrize("line", [{}, {"step": "one"}, {"step": 0, "loss": "much"}, {"step": None}, [], 5])
def test_reported_lines_that_are_none(trace: Path, bases: BasisCache, line: object) -> None:
    breaking.reported(trace, lambda lines: [line, *lines[1:]])
    assert f"{steps_file(0)} line 1: " in unreadable(trace, bases)


@pytest.mark.parametrize(("name", "code"), [("loss", "loss.value"), ("grad_norm", "grad-norm.value")])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", 0.0, -1.0, 1e300])
def test_a_reported_number_that_is_wrong_or_none_is_a_finding(
    trace: Path, bases: BasisCache, name: str, code: str, value: object
) -> None:
    breaking.reported(trace, lambda lines: lines[1].update({name: value}))
    findings = judged(trace, bases)
    assert [(f.code, f.step) for f in findings] == [(code, 1)]
    assert verdict.outcome(findings) == "fail"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("tensor", "step", "rank"),
    [
        ("param/lm_head.weight", 0, 0),
        ("param/model.norm.weight", 2, 0),
        ("exp_avg/model.norm.weight", 1, 0),
        ("exp_avg_sq/lm_head.weight", 2, 0),
        ("param/model.norm.weight", 1, 1),
        ("param/lm_head.weight", 2, 1),
    ],
)
def test_a_number_that_is_none(trace: Path, bases: BasisCache, tensor: str, step: int, rank: int, value: float) -> None:
    breaking.tensors(trace, lambda t: t[tensor].view(-1).__setitem__(-1, value), step, rank)
    (finding,) = judged(trace, bases)
    assert finding.code == "numerics.non-finite"
    assert tensor in finding.message
    assert f"step {step}" in finding.message
    assert verdict.outcome([finding]) == "unknown"


@pytest.mark.parametrize(("step", "rank"), [(0, 0), (2, 0), (1, 1)])
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop("param/model.norm.weight"),
        lambda t: t.update({"param/model.norm.weight": torch.ones(1)}),
        lambda t: t.update({"param/model.norm.weight": torch.ones(4, 4)}),
        lambda t: t.update({"param/lm_head.weight": t["param/lm_head.weight"].T}),
        lambda t: t.clear(),
    ],
)
def test_a_tensor_that_is_missing_or_misshapen(
    trace: Path, bases: BasisCache, change: breaking.Change, step: int, rank: int
) -> None:
    breaking.tensors(trace, change, step, rank)
    message = unreadable(trace, bases)
    assert f"{tensors_file(step, rank)} (state after step {step}) has no param/" in message


@pytest.mark.parametrize("name", ["exp_avg/model.norm.weight", "exp_avg_sq/lm_head.weight"])
def test_a_missing_moment(trace: Path, bases: BasisCache, name: str) -> None:
    breaking.tensors(trace, lambda t: t.pop(name), step=1)
    assert f"has no {name} of shape [" in unreadable(trace, bases)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_a_tensor_of_no_floats(trace: Path, bases: BasisCache, dtype: torch.dtype) -> None:
    breaking.tensors(trace, lambda t: t.update({"param/model.norm.weight": torch.ones(16).to(dtype)}), 1)
    assert "record it again" in unreadable(trace, bases)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 64,
        (2**62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{]",
        b"PK\x03\x04" * 9,
    ],
)
def test_what_is_no_file_of_tensors(trace: Path, bases: BasisCache, content: bytes) -> None:
    (trace / tensors_file(1)).write_bytes(content)
    breaking.reseal(trace)
    assert "not a safetensors file" in unreadable(trace, bases)


@pytest.mark.parametrize("shape", [[2**40], [2**62, 2**62], [-1], [0]])
def test_tensors_that_claim_another_size(trace: Path, bases: BasisCache, shape: list[int]) -> None:
    head = json.dumps({"param/a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()
    (trace / tensors_file(1)).write_bytes(len(head).to_bytes(8, "little") + head + b"\x00" * 4)
    breaking.reseal(trace)
    assert "not a safetensors file" in unreadable(trace, bases)
