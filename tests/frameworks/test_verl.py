"""What is wrong, and what is right, in real releases of verl: one test for each thing that is claimed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.judging.diagnosis import upstream
from harness.traces import reader
from harness.verdicts.verdict import CellRecord
from tests.frameworks import command, proofs
from tests.frameworks.command import Joined
from tests.frameworks.reading import applies, causes, details, diagnosis

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]  # the first may have to build three environments

NEW, COARSE, OLD, OLDER = "0.9.1", "0.7.1", "0.6.1", "0.5.0"
RIGHT = (
    "sft-ragged",
    "sft-equal",
    "sft-ragged-noclip",
    "sft-ragged-batch2",
    "sft-ragged-packed",
    "sft-ragged-bf16",
    "sft-ragged-qwen2",
    "sft-ragged-qwen3",
    "sft-ragged-gemma",
)
PREFIXED = ("sft-ragged", "sft-equal", "sft-ragged-noclip", "sft-ragged-batch2", "sft-ragged-bf16", "sft-ragged-pairs")
"""What both older releases express."""


def cell(run: Joined, version: str, scenario: str) -> CellRecord:
    return run.cell(f"verl=={version}/{scenario}")


def cells(run: Joined) -> Iterator[CellRecord]:
    return (c for c in run.verdict.cells if c.framework == "verl")


def codes(of: CellRecord) -> set[str]:
    return {f.code for f in of.findings}


def test_no_cell_is_unknown(verl: Joined) -> None:
    assert [(c.name, c.reason) for c in verl.verdict.cells if c.verdict == "unknown"] == []


# ---- the trainer on the engines is right


@pytest.mark.parametrize("scenario", RIGHT)
def test_right(verl: Joined, scenario: str) -> None:
    found = cell(verl, NEW, scenario)
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


def test_the_logged_learning_rate_is_that_of_the_next_step(verl: Joined) -> None:
    found = cell(verl, NEW, "sft-ragged-warmup")
    assert found.verdict == "accepted"
    assert {f.code for f in found.findings} == {"learning-rate.value"}
    assert diagnosis(found, "misreported").summary.endswith("the reported learning rate is that of the next step")


# ---- PR 6150: before 0.8.0 the engines compute in bfloat16, whatever is asked for


def test_0_7_1_computes_in_bfloat16_where_it_is_asked_for_fp32(verl: Joined) -> None:
    found = cell(verl, COARSE, "sft-ragged")
    assert (found.verdict, causes(found)) == ("fail", ["coarse-dtype"])
    assert [f.step for f in found.findings if f.code == "numerics.dtype"] == [0, 1, 2]
    assert "6150" in (diagnosis(found, "coarse-dtype").upstream or "")


def test_0_7_1_is_right_in_bfloat16(verl: Joined) -> None:
    found = cell(verl, COARSE, "sft-ragged-bf16")
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


@pytest.mark.parametrize(
    ("version", "scenario", "why"),
    [
        (NEW, "sft-ragged-decay", "weight_decay"),
        (NEW, "sft-ragged-pairs", "row_format"),
        (NEW, "sft-ragged-gpt2", "num_key_value_heads"),
        (OLD, "sft-ragged-warmup", "schedule"),
        (OLD, "sft-ragged-packed", "rows_per_sequence"),
        (OLDER, "sft-ragged-decay", "weight_decay"),
    ],
)
def test_what_it_cannot_express_is_said(verl: Joined, version: str, scenario: str, why: str) -> None:
    found = cell(verl, version, scenario)
    assert found.verdict == "unsupported"
    assert f"verl {version}" in (found.reason or "")
    assert why in (found.reason or "")


# ---- the older trainer averages each micro-batch by itself


@pytest.mark.parametrize("version", [OLD, OLDER])
@pytest.mark.parametrize("scenario", sorted(set(PREFIXED) - {"sft-equal"}))
def test_means_of_means(verl: Joined, version: str, scenario: str) -> None:
    found = cell(verl, version, scenario)
    assert found.verdict == "fail"
    assert [said["level"] for said in details(found, "weights.mean-of-means")] == ["micro-batch"] * 3
    assert "mean-of-means" in causes(found)


@pytest.mark.parametrize("version", [NEW, OLD, OLDER])
def test_no_means_of_means_where_responses_are_equally_long(verl: Joined, version: str) -> None:
    found = cell(verl, version, "sft-equal")
    assert "weights.mean-of-means" not in codes(found)
    assert "mean-of-means" not in causes(found)


def test_conversations_in_0_6_1_have_no_other_fault(verl: Joined) -> None:
    assert causes(cell(verl, OLD, "sft-ragged")) == ["mean-of-means"]
    assert cell(verl, OLD, "sft-equal").verdict == "pass"


# ---- PR 3287 mended the mask of conversations in 0.6.0, and shifted that of prompts and answers


def test_prompts_and_answers_in_0_6_1_never_train_the_eos(verl: Joined) -> None:
    found = cell(verl, OLD, "sft-ragged-pairs")
    assert causes(found) == ["loss-mask", "mean-of-means"]
    assert [said["mask"] for said in details(found, "weights.mask")] == ["shifted"] * 3
    said = diagnosis(found, "loss-mask")
    assert said.summary == ("the loss mask is shifted by one: the last prompt token is trained and the EOS never is")
    assert "3562" in (said.upstream or "")


def test_conversations_in_0_5_0_train_the_padding_behind_the_eos(verl: Joined) -> None:
    found = cell(verl, OLDER, "sft-ragged")
    assert causes(found) == ["loss-mask", "mean-of-means", "gradient-scale"]
    assert [said["mask"] for said in details(found, "weights.mask")] == ["late"] * 3
    said = diagnosis(found, "loss-mask")
    assert "first token of every response is never trained" in said.summary
    assert "padding" in said.summary
    assert "3287" in (said.upstream or "")


def test_prompts_and_answers_in_0_5_0_have_the_right_mask(verl: Joined) -> None:
    assert causes(cell(verl, OLDER, "sft-ragged-pairs")) == ["mean-of-means", "gradient-scale"]


# ---- PR 3332: the gradient of 0.5.0 is not divided by the number of micro-batches


def test_without_clipping_the_scale_is_in_the_weights(verl: Joined) -> None:
    found = cell(verl, OLDER, "sft-ragged-noclip")
    assert [said["factor"] for said in details(found, "weights.scale")] == [4.0] * 3
    assert [said["equals"] for said in details(found, "weights.scale")] == ["gradient_accumulation_steps"] * 3
    assert diagnosis(found, "gradient-scale").summary == (
        "the gradient is 4 times what it should be: gradient_accumulation_steps"
    )


@pytest.mark.parametrize("scenario", ["sft-ragged", "sft-equal", "sft-ragged-pairs"])
def test_clipping_hides_it_but_the_norm_tells(verl: Joined, scenario: str) -> None:
    found = cell(verl, OLDER, scenario)
    assert "weights.scale" not in codes(found)
    said = diagnosis(found, "gradient-scale")
    assert "4 times" in said.summary
    assert "clipping hides it" in said.summary
    assert said.codes == ["grad-norm.value"]
    assert "3332" in (said.upstream or "")


@pytest.mark.parametrize("scenario", PREFIXED)
def test_0_6_1_divides_it(verl: Joined, scenario: str) -> None:
    assert "gradient-scale" not in causes(cell(verl, OLD, scenario))


# ---- what is known upstream, against what was found

KNOWN = [k for k in upstream.entries() if k.package == "verl" and (k.package, k.cause) not in proofs.UNNAMED]


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: f"{k.cause} {k.versions}")
def test_every_known_cause_is_found_in_this_run(verl: Joined, known: upstream.UpstreamCause) -> None:
    assert [c.name for c in cells(verl) for d in c.diagnoses if d.upstream == known.sentence]


def test_every_cause_that_is_found_is_known(verl: Joined) -> None:
    assert [(c.name, d.cause, d.summary) for c in cells(verl) for d in c.diagnoses if not d.upstream] == []


def test_known_causes_are_found_wherever_they_should_be(verl: Joined) -> None:
    """In all scenarios of an entry, but that means of means are right where responses are equally long."""
    for c in (c for c in cells(verl) if c.verdict != "unsupported"):
        known = {k.cause for k in KNOWN if applies(k, verl.trace(c.name))}
        hidden = {"mean-of-means"} if c.scenario == "sft-equal" else set()
        assert set(causes(c)) & {k.cause for k in KNOWN} == known - hidden, c.name


# ---- what was changed for a CPU


def test_every_shim_says_why(verl: Joined) -> None:
    for c in (c for c in cells(verl) if c.verdict != "unsupported"):
        shims = reader.read(verl.trace(c.name)).header.shims
        assert shims
        assert all(len(s["reason"]) > 40 for s in shims)


@pytest.mark.exhaustive  # test_run.py has one of it
def test_torchrun_gives_the_same_trace(tmp_path: Path, environments: Path, verl: Joined) -> None:
    names = (NEW, OLD)
    chosen = [word for version in names for word in ("--framework", f"verl=={version}")]
    other = command.run(
        tmp_path, environments, *chosen, "--scenario", "sft-ragged", "--launcher", "torchrun", timeout=600.0
    )
    for version in names:
        name = f"verl=={version}/sft-ragged"
        mine, theirs = (reader.read(r.trace(name)).state(3, "param") for r in (verl, other))
        assert all(bool((mine[n] == theirs[n]).all()) for n in mine), name
