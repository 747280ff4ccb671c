"""What is wrong, and what is right, in real releases of DeepSpeed: one test for each thing that is claimed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.judging.diagnosis import upstream
from harness.verdicts.verdict import CellRecord
from tests.frameworks import command, proofs
from tests.frameworks.command import Ended, Joined, Run
from tests.frameworks.reading import applies, causes, details, diagnosis

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]  # the first may have to build a dozen environments

NAMED = ("sft-ragged", "sft-equal", "sft-ragged-zero2", "sft-ragged-zero2-offload", "sft-ragged-noclip")
OLD_TRANSFORMERS = {"sft-ragged-qwen3": "model_type 'qwen3'", "sft-ragged-gpt2": "num_items_in_batch"}
"""What 4.46.2, under the oldest releases, has not."""
RIGHT = [
    *(("0.15.1", name) for name in proofs.right("deepspeed") if name not in OLD_TRANSFORMERS),
    *(("0.19.8", name) for name in proofs.right("deepspeed")),
]


def cell(run: Ended, version: str, scenario: str) -> CellRecord:
    return run.cell(f"deepspeed=={version}/{scenario}")


def telling(version: str, scenario: str) -> bool:
    return version not in proofs.DEEPSPEED or scenario in proofs.OF_DEEPSPEED


def cells(run: Joined) -> Iterator[CellRecord]:
    return (c for c in run.verdict.cells if c.framework == "deepspeed")


def test_a_divergence_was_found(older_deepspeed: Run) -> None:
    assert older_deepspeed.status == 1
    assert older_deepspeed.verdict.complete


def test_no_cell_is_unknown(deepspeed: Joined) -> None:
    assert [(c.name, c.reason) for c in deepspeed.verdict.cells if c.verdict == "unknown"] == []


@pytest.mark.parametrize(("version", "scenario"), proofs.cases(RIGHT, telling))
def test_right(deepspeed: Joined, version: str, scenario: str) -> None:
    found = cell(deepspeed, version, scenario)
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


@pytest.mark.exhaustive
@pytest.mark.parametrize(("scenario", "said"), OLD_TRANSFORMERS.items())
def test_what_the_transformers_of_its_day_has_not_is_said(deepspeed: Joined, scenario: str, said: str) -> None:
    found = cell(deepspeed, "0.15.1", scenario)
    assert (found.verdict, said in (found.reason or "")) == ("unsupported", True)


def test_the_named_scenarios_are_among_those(deepspeed: Joined) -> None:
    assert {(v, n) for v in ("0.15.1", "0.19.8") for n in NAMED} <= set(RIGHT)


# ---- micro-batches dropped with the optimizer offloaded: PR 6550 to PR 7967


@pytest.mark.parametrize("version", ["0.15.2", "0.18.2", "0.18.9"])
def test_offload_drops_the_middle_micro_batches_on_both_ranks(deepspeed: Joined, version: str) -> None:
    found = cell(deepspeed, version, "sft-ragged-zero2-offload")
    assert found.verdict == "fail"
    for step, said in enumerate(details(found, "weights.dropped-micro-batches")):
        assert (said["dropped"], said["kept"], said["of"], said["ranks"]) == ([1, 2], [0, 3], 4, [0, 1]), step
    assert len(details(found, "weights.dropped-micro-batches")) == 3
    assert causes(found)[0] == "dropped-micro-batches"


def test_a_stranger_can_read_it(older_deepspeed: Run) -> None:
    said = diagnosis(cell(older_deepspeed, "0.18.9", "sft-ragged-zero2-offload"), "dropped-micro-batches")
    assert said.summary == (
        "micro-batches 1 and 2 of 4 never reached the optimizer, on both ranks (first and last did)"
    )
    assert "7967" in (said.upstream or "")
    assert "0.19.8" in (said.remedy or "")
    assert said.summary in " ".join(older_deepspeed.printed.split())


def test_offload_of_0_18_9_scales_as_well(deepspeed: Joined) -> None:
    assert causes(cell(deepspeed, "0.18.9", "sft-ragged-zero2-offload")) == ["dropped-micro-batches", "gradient-scale"]


def test_offload_alone_drops_in_0_15_2(deepspeed: Joined) -> None:
    failing = {c.scenario for c in cells(deepspeed) if c.version == "0.15.2" and c.verdict == "fail"}
    assert failing == {"sft-ragged-zero2-offload"}


# ---- only the last micro-batch, without offload: PR 7509 to PR 7665


def test_0_18_2_keeps_only_the_last_micro_batch(deepspeed: Joined) -> None:
    found = cell(deepspeed, "0.18.2", "sft-ragged-zero2")
    said = details(found, "weights.dropped-micro-batches")
    assert [(d["dropped"], d["kept"], d["of"], d["ranks"]) for d in said] == [([0, 1, 2], [3], 4, [0, 1])] * 3
    assert causes(found) == ["dropped-micro-batches"]


@pytest.mark.parametrize("version", ["0.15.2", "0.18.9"])
def test_other_releases_keep_them_without_offload(deepspeed: Joined, version: str) -> None:
    assert details(cell(deepspeed, version, "sft-ragged-zero2"), "weights.dropped-micro-batches") == []


# ---- divided by the accumulation twice: PR 7665 to PR 8245


def test_the_model_output_is_divided_twice_in_0_18_9(deepspeed: Joined) -> None:
    found = cell(deepspeed, "0.18.9", "sft-ragged-zero2")
    said = details(found, "weights.scale")
    assert [(d["factor"], d["equals"]) for d in said] == [(0.25, "1/gradient_accumulation_steps")] * 3
    assert causes(found) == ["gradient-scale"]
    summary = "the gradient is 1/4 of what it should be: 1/gradient_accumulation_steps"
    assert diagnosis(found, "gradient-scale").summary == summary


def test_the_bare_loss_is_not(deepspeed: Joined) -> None:
    assert cell(deepspeed, "0.18.9", "sft-ragged-zero2-bare-loss").verdict == "pass"


# ---- found by Lockstep itself: bfloat16 without ZeRO


@pytest.mark.parametrize("version", ["0.18.2", "0.18.9", "0.19.8"])
def test_bf16_without_zero_starts_adam_one_step_late(deepspeed: Joined, version: str) -> None:
    """FP16_Optimizer.initialize_optimizer_states makes a step with zero gradients (runtime/fp16/fused_optimizer.py)."""
    found = cell(deepspeed, version, "sft-ragged-bf16")
    assert found.verdict == ("accepted" if version == "0.19.8" else "fail")  # scenarios/accepted.toml
    assert "bias-correction" in causes(found)
    counts = [(f.step, f.observed, f.expected) for f in found.findings if f.code == "update.moments"]
    assert counts == [(step, step + 2.0, step + 1.0) for step in range(3)]


@pytest.mark.parametrize("version", ["0.15.1", "0.15.2"])
def test_older_releases_do_not(deepspeed: Joined, version: str) -> None:
    assert cell(deepspeed, version, "sft-ragged-bf16").verdict == "pass"


def test_bf16_without_zero_keeps_gradients_in_0_18_2(deepspeed: Joined) -> None:
    assert "stale-gradient" in causes(cell(deepspeed, "0.18.2", "sft-ragged-bf16"))


@pytest.mark.parametrize("version", ["0.18.9", "0.19.8"])
def test_later_releases_set_them_to_zero(deepspeed: Joined, version: str) -> None:
    assert "stale-gradient" not in causes(cell(deepspeed, version, "sft-ragged-bf16"))


def test_bf16_with_zero_does_not_have_it(deepspeed: Joined) -> None:
    assert cell(deepspeed, "0.19.8", "sft-ragged-zero2-bf16").verdict == "pass"


# ---- what is known upstream, against what was found


EVERY = [k for k in upstream.entries() if k.package == "deepspeed"]
KNOWN = [k for k in EVERY if (k.package, k.cause) not in proofs.UNNAMED]
UNNAMED = {
    "decayed-before-training": 'base = "sft-ragged-decay"\nprecision.compute = "bf16"',
    "decayed-before-training: squares": """
base = "sft-ragged-decay"
optimizer.kind = "adagrad"
precision.compute = "bf16"
""",
    "learning-rate-schedule": """
base = "sft-ragged"
sharding.strategy = "zero2"
optimizer.given_in = "engine"
optimizer.decayed = "all"
optimizer.schedule.warmup_steps = 2
optimizer.schedule.warmup_from = "zero"
""",
}
"""Files of scenarios that show what no named one does."""


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: f"{k.cause} {k.versions}")
def test_every_known_cause_is_found_in_this_run(deepspeed: Joined, known: upstream.UpstreamCause) -> None:
    told = [c for c in cells(deepspeed) for d in c.diagnoses if d.upstream == known.sentence]
    assert told
    assert all(applies(known, deepspeed.trace(c.name)) for c in told)


@pytest.mark.exhaustive
@pytest.mark.parametrize("cause", UNNAMED)
def test_what_no_named_scenario_shows(cause: str, tmp_path: Path, environments: Path) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(UNNAMED[cause])
    cause = cause.partition(":")[0]
    run = command.run(tmp_path, environments, "--framework", "deepspeed==0.19.8", "--scenario", str(file))
    (found,) = run.verdict.cells
    (known,) = (k for k in EVERY if k.cause == cause)
    assert diagnosis(found, cause).upstream == known.sentence


def test_every_cause_that_is_found_is_known(deepspeed: Joined) -> None:
    unknown = [(c.name, d.cause, d.summary) for c in cells(deepspeed) for d in c.diagnoses if not d.upstream]
    assert unknown == []


def test_known_causes_are_found_wherever_they_should_be(deepspeed: Joined) -> None:
    """An entry says in which releases and on which scenarios a cause shows: in no other ones, and in all of those."""
    for c in (c for c in cells(deepspeed) if c.verdict != "unsupported"):
        known = {k.cause for k in KNOWN if applies(k, deepspeed.trace(c.name))}
        assert set(causes(c)) == known, c.name
