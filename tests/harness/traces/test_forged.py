"""Traces that are forged, every checksum right: refused in one line or found wrong, and none is judged a pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.contract import END, HEADER, batches_file, steps_file, tensors_file
from harness.judging.judge import judge
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
        lambda end: end.update(steps=1),
        lambda end: end.update(steps=2.0),
        lambda end: end.update(steps=True),
        lambda end: end.update(steps="2"),
        lambda end: end.update(steps=None),
        lambda end: end.pop("files"),
        lambda end: end.update(files=[]),
        lambda end: end.update(files={}),
        lambda end: end["files"].update({HEADER: None}),
        lambda end: end["files"].pop(tensors_file(1, 1)),
        lambda end: end["files"].update(more="0" * 64),
        lambda end: end.update(schema=1),
        lambda end: end.update(schema=True),
        lambda end: end.pop("schema"),
        lambda end: end.update(more=1),
    ],
)
def test_a_seal_that_says_something_else(trace: Path, bases: BasisCache, change: breaking.Change) -> None:
    breaking.edit(trace / END, change)
    unreadable(trace, bases)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_that_was_short(trace: Path, bases: BasisCache, steps: int) -> None:
    breaking.shorten(trace, steps)
    (finding,) = judged(trace, bases)
    assert finding.code == "run.incomplete"
    assert finding.message.startswith(f"{steps} of 2 optimizer steps")


@pytest.mark.parametrize("steps", [3, 99_999, 10**30])
def test_a_run_that_was_too_long(trace: Path, bases: BasisCache, steps: int) -> None:
    breaking.edit(trace / END, lambda end: end.update(steps=steps))
    (finding,) = judged(trace, bases)
    assert finding.code == "run.incomplete"
    assert finding.message == f"{steps} optimizer steps were made where the scenario has 2"


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
        lambda head: head["scenario"]["window"].update(steps=1),
        lambda head: head["scenario"]["optimizer"].update(max_grad_norm=None),
        lambda head: head["scenario"]["optimizer"].update(weight_decay=0.1),
        lambda head: head["scenario"]["data"]["rows"].reverse(),
    ],
)
def test_an_edited_header(trace: Path, bases: BasisCache, change: breaking.Change) -> None:
    breaking.header(trace, change)
    assert HEADER in unreadable(trace, bases)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["window"].update(steps=0), "steps"),
        (lambda s: s["window"].update(steps=-3), "steps"),
        (lambda s: s["window"].update(steps=10**15), "steps"),
        (lambda s: s["window"].update(ranks=1), "ranks"),
        (lambda s: s["window"].update(ranks=4, micro_batch_size=1, accumulation=1), "ranks"),
        (lambda s: s["model"].update(layers=2), "record it again"),
        (lambda s: s["model"].update(layers=1000), "record it again"),
        (lambda s: s["model"].update(hidden_size=2**30), "record it again"),
        (lambda s: s["model"].update(vocab_size=65), "vocabulary"),
        (lambda s: s["data"]["rows"][0][0].update(content="no-such-word"), "no-such-word"),
        (lambda s: s["data"]["rows"][0].clear(), "rows"),
        (lambda s: s["tokenizer"]["vocabulary"].__setitem__(1, "end"), "<eos>"),
        (lambda s: s["tokenizer"]["vocabulary"].__setitem__(4, "me"), "<|assistant|>"),
        (lambda s: s["data"].update(rows=[[["x"]]]), "scenario"),
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
        (
            _first(lambda b: b["input_ids"][0].__setitem__(2, "5.5")),
            "input_ids: Value error, number 2 of sequence 0 is no whole number",
        ),
        (_first(lambda b: b["input_ids"][0].__setitem__(2, "5")), "number 2 of sequence 0"),
        (_first(lambda b: b["input_ids"][0].__setitem__(2, 5.0)), "number 2 of sequence 0"),
        (_first(lambda b: b["input_ids"][0].__setitem__(2, True)), "number 2 of sequence 0"),
        (_first(lambda b: b["input_ids"][0].__setitem__(2, None)), "number 2 of sequence 0"),
        (_first(lambda b: b["input_ids"].__setitem__(0, 5)), "sequence 0 is no list"),
        (_first(lambda b: b.update(more=1)), "more: Extra inputs are not permitted"),
        (_first(lambda b: b.update(micro_batch="0")), "micro_batch"),
        (lambda lines: [*lines, {**lines[0], "step": 2}], "step 2 is after the last one: 2 were made"),
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
        (_first(lambda b: b.update(step=10**25)), "is after the last one"),
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


@pytest.mark.parametrize("field", ["loss_mask", "position_ids"])
def test_marks_or_positions_that_are_there_for_some_batches_alone(trace: Path, bases: BasisCache, field: str) -> None:
    def told(line: dict[str, object]) -> object:
        ids = line["input_ids"]
        assert isinstance(ids, list)
        return [[int(field == "loss_mask")] * len(s) if field == "loss_mask" else [*range(len(s))] for s in ids]

    for rank in range(2):
        breaking.batches(trace, lambda lines: [{**line, field: told(line)} for line in lines], rank)
    breaking.batches(trace, lambda lines: lines[1].update({field: None}), rank=1)
    assert f"step 0, micro-batch 1 has no {field}, as others have" in unreadable(trace, bases)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:1], "has 1 lines, expected one for each of 2 steps"),
        (lambda lines: [], "has 0 lines"),
        (lambda lines: [*lines, {**lines[1], "loss": 9.0}], "line 3: step is 1, expected 2"),
        (lambda lines: [lines[0], lines[0]], "line 2: step is 0, expected 1"),
        (lambda lines: lines[::-1], "line 1: step is 1, expected 0"),
        (lambda lines: [*lines, {**lines[1], "step": 2}], "has 3 lines"),
    ],
)
def test_steps_that_are_told_another_number_of_times(
    trace: Path, bases: BasisCache, rank: int, change: breaking.Change, said: str
) -> None:
    breaking.reported(trace, change, rank)
    message = unreadable(trace, bases)
    assert steps_file(rank) in message
    assert said in message


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    "line",
    [
        {},
        {"step": "one"},
        {"step": "0"},
        {"step": 0, "loss": "much"},
        {"step": 0, "loss": "1.5"},
        {"step": 0, "more": 1},
        {"step": None},
        [],
        5,
    ],
)
def test_reported_lines_that_are_none(trace: Path, bases: BasisCache, line: object, rank: int) -> None:
    breaking.reported(trace, lambda lines: [line, *lines[1:]], rank)
    assert f"{steps_file(rank)} line 1: " in unreadable(trace, bases)


@pytest.mark.parametrize(
    "content", [b"not json at all\n", b'{"step": 0, "loss": 1.0, "loss": 2.0}\n', b'{"loss": NaN}\n']
)
def test_lines_of_another_rank_that_are_no_json(trace: Path, bases: BasisCache, content: bytes) -> None:
    (trace / steps_file(1)).write_bytes(content)
    breaking.reseal(trace)
    assert f"{steps_file(1)} line 1: " in unreadable(trace, bases)


def test_a_key_that_stands_there_twice(trace: Path, bases: BasisCache) -> None:
    path = trace / HEADER
    path.write_text(path.read_text().replace('"ranks": 2', '"ranks": 2, "ranks": 2', 1))
    breaking.reseal(trace)
    assert "the key 'ranks' stands there twice" in unreadable(trace, bases)


def test_a_number_that_only_another_rank_tells_wrongly(trace: Path, bases: BasisCache) -> None:
    breaking.reported(trace, lambda lines: lines[1].update(loss=9.0, grad_norm=9.0, learning_rate=9.0), rank=1)
    findings = judged(trace, bases)
    assert [(f.code, f.step, f.rank) for f in findings] == [
        (code, 1, 1) for code in ("loss.value", "grad-norm.value", "learning-rate.value")
    ]
    assert findings[0].message.startswith("reported loss of rank 1 at step 1 is 9, expected ")


def test_a_framework_may_tell_numbers_on_its_first_rank_alone(trace: Path, bases: BasisCache) -> None:
    nothing = {"loss": None, "grad_norm": None, "learning_rate": None}
    breaking.reported(trace, lambda lines: [line.update(nothing) for line in lines] and None, rank=1)
    assert judge(trace, bases).findings == ()


@pytest.mark.parametrize(("name", "code"), [("loss", "loss.value"), ("grad_norm", "grad-norm.value")])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", 0.0, -1.0, 1e300])
def test_a_reported_number_that_is_wrong_or_none_is_a_finding(
    trace: Path, bases: BasisCache, name: str, code: str, value: object
) -> None:
    breaking.reported(trace, lambda lines: lines[1].update({name: value}))
    findings = judged(trace, bases)
    assert [(f.code, f.step) for f in findings] == [(code, 1)]
    assert verdict.outcome(findings) == "fail"


@pytest.mark.parametrize(
    "name", ["steps-r02.jsonl", "batches-r17.jsonl", "tensors/step-0003.safetensors", "tensors/x.safetensors"]
)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_file_too_many(trace: Path, bases: BasisCache, name: str, sealed: bool) -> None:
    (trace / name).write_bytes(b"x")
    if sealed:
        breaking.reseal(trace)
    assert f"{name} is no file of a trace of 2 ranks and 2 steps" in unreadable(trace, bases)


def test_what_lies_beside_a_trace_is_not_read(trace: Path, bases: BasisCache) -> None:
    for name in ("log-r00.txt", "log-r07.txt", "crash.json", "recovered.json", "notes", "tensors/notes"):
        (trace / name).write_bytes(b"\xff")
    assert judge(trace, bases).findings == ()
