"""What is wrong, and what is right, in real releases of OpenRLHF: one test for each thing that is claimed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import scenarios
from harness.judging.diagnosis import upstream
from harness.verdicts.verdict import CellRecord
from tests.frameworks import command, proofs
from tests.frameworks.command import Joined, distance
from tests.frameworks.reading import applies, causes, details, diagnosis
from tests.frameworks.test_run import bits

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]  # the first may have to build four environments

RELEASES = ("0.9.10", "0.10.2", "0.10.3", "0.11.2")
NEWEST = RELEASES[-1]
REFERENCE = "torch==2.13.0/sft-ragged"
UNSUPPORTED = {"sft-ragged-packed": "rows_per_sequence", "sft-ragged-zero2-bare-loss": "engine_output"}
KNOWN = {
    "sft-ragged-bf16": ("update.moments", "bias-correction"),
    "sft-ragged-warmup": ("learning-rate.value", "misreported"),
}
RIGHT = [name for name in proofs.right("openrlhf") if name not in KNOWN]
RAGGED = [name for name in [*proofs.right("openrlhf"), *KNOWN] if name.startswith("sft-") and name != "sft-equal"]


def cell(run: Joined, version: str, scenario: str) -> CellRecord:
    return run.cell(f"openrlhf=={version}/{scenario}")


def cells(run: Joined) -> Iterator[CellRecord]:
    return (c for c in run.verdict.cells if c.framework == "openrlhf")


def test_no_cell_is_unknown(openrlhf: Joined) -> None:
    assert [(c.name, c.reason) for c in openrlhf.verdict.cells if c.verdict == "unknown"] == []


def test_nothing_is_left_behind(openrlhf: Joined) -> None:
    assert (openrlhf.survivors, openrlhf.files) == ((), ())


# ---- the newest release


@pytest.mark.parametrize("scenario", RIGHT)
def test_the_newest_is_right(openrlhf: Joined, scenario: str) -> None:
    found = cell(openrlhf, NEWEST, scenario)
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


@pytest.mark.parametrize("version", RELEASES[:-1])
def test_older_ones_end_elsewhere(openrlhf: Joined, version: str) -> None:
    traces = (openrlhf.trace(name) for name in (REFERENCE, f"openrlhf=={version}/sft-ragged"))
    assert distance(*traces, step=3) > 0.1


@pytest.mark.parametrize("scenario", KNOWN)
def test_what_is_wrong_in_the_newest_is_known(openrlhf: Joined, scenario: str) -> None:
    found = cell(openrlhf, NEWEST, scenario)
    code, cause = KNOWN[scenario]
    assert (found.verdict, {f.code for f in found.findings}, causes(found)) == ("accepted", {code}, [cause])


def test_the_logged_learning_rate_is_that_of_the_next_step(openrlhf: Joined) -> None:
    found = cell(openrlhf, NEWEST, "sft-ragged-warmup")
    scenario = scenarios.get("sft-ragged-warmup")
    assert [f.observed for f in found.findings] == [
        pytest.approx(scenario.learning_rate_at(step + 1)) for step in range(scenario.window.steps)
    ]
    assert diagnosis(found, "misreported").summary.endswith("the reported learning rate is that of the next step")


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("scenario", UNSUPPORTED)
def test_what_it_cannot_do_is_said(openrlhf: Joined, version: str, scenario: str) -> None:
    found = cell(openrlhf, version, scenario)
    assert found.verdict == "unsupported"
    assert UNSUPPORTED[scenario] in (found.reason or "")


@pytest.mark.exhaustive  # test_run.py has one of it
def test_both_launchers_give_the_same_bits(openrlhf: Joined, tmp_path_factory, environments) -> None:
    chosen = ["--framework", f"openrlhf=={NEWEST}", "--scenario", "sft-ragged", "--launcher", "torchrun"]
    cold = command.run(tmp_path_factory.mktemp("cold"), environments, *chosen)
    assert cold.status == 0, cold.said
    name = f"openrlhf=={NEWEST}/sft-ragged"
    assert bits(cold.trace(name)) == bits(openrlhf.trace(name))


# ---- means of means: right since PR 1249, in 0.10.4


@pytest.mark.parametrize(
    ("version", "level"), [("0.9.10", "micro-batch"), ("0.10.2", "micro-batch"), ("0.10.3", "micro-step")]
)
@pytest.mark.parametrize("scenario", proofs.cases(RAGGED, lambda scenario: scenario in proofs.OF_OPENRLHF))
def test_tokens_are_averaged_in_parts(openrlhf: Joined, version: str, level: str, scenario: str) -> None:
    found = cell(openrlhf, version, scenario)
    assert found.verdict == "fail"
    assert [said["level"] for said in details(found, "weights.mean-of-means")] == [level] * 3
    assert "mean-of-means" in causes(found)
    assert diagnosis(found, "mean-of-means").explains == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("version", ["0.9.10", "0.10.2"])
def test_each_micro_batch_by_itself(openrlhf: Joined, version: str) -> None:
    found = cell(openrlhf, version, "sft-ragged")
    assert causes(found) == ["mean-of-means"]
    said = diagnosis(found, "mean-of-means")
    assert said.summary.startswith("mean of means: each micro-batch is averaged by itself")
    assert "1249" in (said.upstream or "")
    assert "openrlhf>=0.10.4" in (said.remedy or "")


def test_pooled_over_the_ranks_but_not_over_the_micro_batches(openrlhf: Joined) -> None:
    found = cell(openrlhf, "0.10.3", "sft-ragged")
    assert causes(found) == ["mean-of-means"]
    said = diagnosis(found, "mean-of-means")
    assert said.summary.startswith("mean of means: tokens are pooled over the ranks, but each micro-step")
    assert "get_loss_batch_info" in (said.upstream or "")


@pytest.mark.parametrize("version", RELEASES)
def test_equal_lengths_hide_it(openrlhf: Joined, version: str) -> None:
    found = cell(openrlhf, version, "sft-equal")
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


# ---- and DeepSpeed's own underneath


@pytest.mark.parametrize("version", ["0.9.10", "0.10.2", "0.10.3"])
def test_offload_drops_micro_batches_as_well(openrlhf: Joined, version: str) -> None:
    found = cell(openrlhf, version, "sft-ragged-zero2-offload")
    said = details(found, "weights.dropped-micro-batches")
    assert [(d["dropped"], d["kept"], d["of"], d["ranks"]) for d in said] == [([1, 2], [0, 3], 4, [0, 1])] * 3
    assert len(details(found, "weights.mean-of-means")) == 3
    assert causes(found) == ["dropped-micro-batches", "mean-of-means"]
    dropped = diagnosis(found, "dropped-micro-batches")
    assert dropped.summary == (
        "micro-batches 1 and 2 of 4 never reached the optimizer, on both ranks (first and last did)"
    )
    assert "7967" in (dropped.upstream or "")
    assert "1249" in (diagnosis(found, "mean-of-means").upstream or "")


def test_nothing_is_divided_twice(openrlhf: Joined) -> None:
    """DeepSpeed 0.18.9 divides the gradient of each output; OpenRLHF's model returns logits and no loss."""
    assert [c.name for c in cells(openrlhf) if "gradient-scale" in causes(c)] == []


# ---- what is known upstream, against what was found


def test_every_cause_that_is_found_is_known(openrlhf: Joined) -> None:
    unknown = [(c.name, d.cause, d.summary) for c in cells(openrlhf) for d in c.diagnoses if not d.upstream]
    assert unknown == []


def test_known_causes_are_found_wherever_they_should_be(openrlhf: Joined) -> None:
    own = [k for k in upstream.entries() if k.package == "openrlhf"]
    for c in cells(openrlhf):
        if c.verdict == "unsupported" or c.scenario == "sft-equal" or c.scenario.startswith("dpo-"):
            continue
        known = {k.cause for k in own if applies(k, openrlhf.trace(c.name))}
        assert known == set(causes(c)) & {k.cause for k in own}, c.name
