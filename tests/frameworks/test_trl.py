"""What is wrong, and what is right, in real releases of TRL, and of LLaMA-Factory as far as it is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import scenarios
from harness.traces import reader
from tests.frameworks import command, proofs, uncatalogued
from tests.frameworks.command import Run, distance
from tests.frameworks.conftest import BUILDING
from tests.frameworks.reading import details

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]  # the first may have to build eight environments

NEWEST = "trl==1.16.0"
OLD_DEEPSPEED = "trl==1.16.0,deepspeed==0.18.9"
TRAINERS = (NEWEST, "llamafactory==0.9.5")
UNSUPPORTED = [
    (TRAINERS[1], "sft-ragged-packed", "rows_per_sequence"),
    *((release, "sft-ragged-zero2-bare-loss", "engine_output") for release in TRAINERS),
]
EXPRESSED = [(release, name) for release in TRAINERS for name in proofs.right(release.partition("==")[0])]


@pytest.mark.parametrize(("release", "name"), EXPRESSED)
def test_the_newest_is_right(newest: Run, release: str, name: str) -> None:
    found = newest.cell(f"{release}/{name}")
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


@pytest.mark.parametrize(("release", "name", "field"), UNSUPPORTED)
def test_what_it_cannot_do_is_said(newest: Run, release: str, name: str, field: str) -> None:
    found = newest.cell(f"{release}/{name}")
    assert found.verdict == "unsupported"
    assert field in (found.reason or "")


@pytest.mark.parametrize("release", [NEWEST, "ms-swift==4.6.0"])
def test_the_soft_cap_of_gemma_is_left_out(newest: Run, release: str) -> None:
    """By torch's own attention, the default of transformers; LLaMA-Factory asks for another."""
    found = newest.cell(f"{release}/sft-ragged-gemma")
    assert found.verdict == "accepted"  # scenarios/accepted.toml
    assert {f.code for f in found.findings} == {"weights.residual", "loss.value", "grad-norm.value"}
    assert [d.kind for d in found.diagnoses] == ["soft-cap: scores"]
    assert "transformers 4.48.0" in (found.diagnoses[0].upstream or "")


@pytest.mark.parametrize(
    ("version", "level", "words"),
    [
        ("0.11.4", "micro-batch", "each micro-batch is averaged by itself"),
        ("0.12.2", "rank", "each rank averages its own tokens"),
    ],
)
@pytest.mark.parametrize("name", ["sft-ragged", "sft-ragged-pairs"])
def test_means_of_means(trainers: Run, version: str, level: str, words: str, name: str) -> None:
    """transformers 4.45.2 knows nothing of the other micro-batches; 4.46.3 nothing of the other ranks."""
    found = trainers.cell(f"trl=={version}/{name}")
    assert found.verdict == "fail"
    assert [d["level"] for d in details(found, "weights.mean-of-means")] == [level] * 3
    assert [d.cause for d in found.diagnoses] == ["mean-of-means"]
    assert words in found.diagnoses[0].summary
    assert "average_tokens_across_devices" in (found.diagnoses[0].remedy or "") or level == "micro-batch"
    assert "transformers" in (found.diagnoses[0].upstream or "")


@pytest.mark.exhaustive
def test_gpt2_whose_loss_takes_no_number_of_tokens_is_wrong_twice(tmp_path: Path, environments: Path) -> None:
    """transformers 4.46.3: every micro-batch is averaged by itself, and nothing divides by their number."""
    chosen = ["--framework", "trl==0.12.2", "--scenario", "sft-ragged-gpt2"]
    found = command.run(tmp_path, environments, *chosen, timeout=BUILDING).cell("trl==0.12.2/sft-ragged-gpt2")
    assert found.verdict == "fail"
    assert [d.kind for d in found.diagnoses] == ["mean-of-means: micro-batch", "gradient-scale: GA"]
    assert all("35438" in (d.upstream or "") for d in found.diagnoses)


TWICE = ("trl==1.0.0", "trl==0.28.0,accelerate==1.12.0,transformers==5.2.0")
ONCE = ("trl==1.0.0,transformers==5.1.0", "trl==1.0.0,transformers==5.5.4")


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    """Both sides of both ends of what transformers 5.2.0 brought; trl 1.0.0 came out in the middle of it."""
    chosen = [word for release in (*TWICE, *ONCE) for word in ("--framework", release)]
    scenarios = ["--scenario", "sft-ragged", "--scenario", "sft-ragged-zero2"]
    return command.run(tmp_path_factory.mktemp("divided"), environments, *chosen, *scenarios, timeout=BUILDING)


@pytest.mark.parametrize("release", TWICE)
def test_transformers_divides_by_accumulation_twice(divided: Run, release: str) -> None:
    found = divided.cell(f"{release}/sft-ragged")
    assert found.verdict == "fail"
    (said,) = found.diagnoses
    assert said.kind == "gradient-scale: 1/GA"
    assert "since transformers 5.2.0, mended in 5.5.4" in (said.upstream or "")
    assert "transformers>=5.5.4" in (said.remedy or "")


@pytest.mark.parametrize("release", ONCE)
def test_transformers_before_and_after_it_is_right(divided: Run, release: str) -> None:
    assert divided.cell(f"{release}/sft-ragged").verdict == "pass"


@pytest.mark.parametrize("release", TWICE)
def test_deepspeed_divides_once(divided: Run, release: str) -> None:
    """Its engine does the backward pass instead of accelerate."""
    assert divided.cell(f"{release}/sft-ragged-zero2").verdict == "pass"


@pytest.mark.parametrize("version", ["0.11.4", "0.19.1"])
def test_older_releases_have_the_deepspeed_of_their_day(trainers: Run, version: str) -> None:
    """0.15.2 and 0.17.2, which drop micro-batches with the optimizer offloaded."""
    found = trainers.cell(f"trl=={version}/sft-ragged-zero2-offload")
    assert found.verdict == "fail"
    assert "dropped-micro-batches: 1, 2 of 4" in [d.kind for d in found.diagnoses]


@pytest.mark.parametrize("release", ["trl==0.11.4", "trl==0.12.2", "trl==0.19.1", OLD_DEEPSPEED])
def test_equal_lengths_hide_all_of_it(trainers: Run, release: str) -> None:
    found = trainers.cell(f"{release}/sft-equal")
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


def test_0_19_1_is_right_on_conversations(trainers: Run) -> None:
    assert trainers.cell("trl==0.19.1/sft-ragged").verdict == "pass"


def test_0_19_1_trains_the_assistant_tag_of_completions(trainers: Run) -> None:
    """Its prompts are rendered without the generation prompt (trainer/sft_trainer.py, tokenize): PR 4201 mended it."""
    found = trainers.cell("trl==0.19.1/sft-ragged-pairs")
    assert found.verdict == "fail"
    assert [d.cause for d in found.diagnoses] == ["loss-mask"]
    first = next(f for f in found.findings if f.code == "inputs.loss-mask")
    assert "'<|assistant|>' (1 of its" in first.message
    assert "8 of 8 conversations" in first.message
    assert "4201" in (found.diagnoses[0].upstream or "")


def test_deepspeed_below_drops_micro_batches(trainers: Run) -> None:
    found = trainers.cell(f"{OLD_DEEPSPEED}/sft-ragged-zero2-offload")
    assert found.verdict == "fail"
    said = details(found, "weights.dropped-micro-batches")
    assert [(d["dropped"], d["kept"], d["of"], d["ranks"]) for d in said] == [([1, 2], [0, 3], 4, [0, 1])] * 3
    assert [d.cause for d in found.diagnoses] == ["dropped-micro-batches"]
    assert "7967" in (found.diagnoses[0].upstream or "")


def test_without_offload_it_does_not(trainers: Run) -> None:
    assert trainers.cell(f"{OLD_DEEPSPEED}/sft-ragged").verdict == "pass"


@pytest.mark.parametrize("version", ["0.11.4", "0.12.2", "0.19.1"])
def test_older_releases_load_a_tokenizer_only(trainers: Run, version: str) -> None:
    found = trainers.cell(f"trl=={version}/sft-ragged-processor")
    assert found.verdict == "unsupported"
    assert "processor" in (found.reason or "")


def test_no_cell_is_unknown(newest: Run, trainers: Run) -> None:
    """But on the day of trl 0.12.2, transformers 4.46.3 asked DeepSpeed 0.16.1 for what it refuses with ZeRO 2."""
    cells = [*newest.verdict.cells, *trainers.verdict.cells]
    unknown = {c.name: c.reason or "" for c in cells if c.verdict == "unknown"}
    assert list(unknown) == ["trl==0.12.2/sft-ragged-zero2-offload"]
    assert "no_sync context manager is incompatible" in unknown["trl==0.12.2/sft-ragged-zero2-offload"]


@pytest.mark.exhaustive  # test_run.py has one of it
def test_both_launchers_give_the_same_parameters(newest: Run, tmp_path: Path, environments: Path) -> None:
    chosen = ["--framework", NEWEST, "--framework", "llamafactory==0.9.5", "--scenario", "sft-ragged"]
    cold = command.run(tmp_path, environments, *chosen, "--launcher", "torchrun", timeout=1800.0)
    assert cold.status == 0, cold.said
    for cell in (f"{NEWEST}/sft-ragged", "llamafactory==0.9.5/sft-ragged"):
        assert distance(cold.trace(cell), newest.trace(cell), step=3) == 0.0


# ---- scenarios that the catalogue has not


@pytest.mark.parametrize(
    ("release", "row_format"),
    [
        (NEWEST, "prompt-completion"),
        ("llamafactory==0.9.5", "prompt-completion"),
        ("trl==0.12.2", "conversation"),  # masks by a collator that has to be told what opens a question
    ],
)
def test_several_turns_are_right(release: str, row_format: str, environments: Path, tmp_path: Path) -> None:
    """A conversation trains every answer, prompts and completions the last one alone.

    Its ranks have equally many tokens, so that a mean over each rank is none to be seen.
    """
    judged = uncatalogued.run(release, uncatalogued.turns(row_format), environments, tmp_path)
    assert [f.message for f in judged.findings] == []


def test_a_warm_up_may_end_inside_the_run(environments: Path, tmp_path: Path) -> None:
    """llamafactory fills in how long the rate stays, unless it is told (create_custom_scheduler)."""
    judged = uncatalogued.run("llamafactory==0.9.5", uncatalogued.warmup_that_ends(), environments, tmp_path)
    assert [f.message for f in judged.findings] == []


def test_transformers_4_49_0_tells_callbacks_of_no_optimizer(environments: Path, tmp_path: Path) -> None:
    scenario = scenarios.get("sft-equal")
    judged = uncatalogued.run("trl==0.15.2,transformers==4.49.0", scenario, environments, tmp_path)
    assert [f.message for f in judged.findings] == []


SELDOM = '''"""Let the Trainer log every second step, whatever its arguments say."""

from transformers import TrainingArguments


def apply() -> None:
    check = TrainingArguments.__post_init__

    def seldom(arguments):
        arguments.logging_steps = 2
        check(arguments)

    TrainingArguments.__post_init__ = seldom
'''


def test_steps_that_are_not_logged_are_recorded(environments: Path, tmp_path: Path) -> None:
    (tmp_path / "seldom.py").write_text(SELDOM)
    chosen = ["--framework", NEWEST, "--scenario", "sft-ragged", "--patch", str(tmp_path / "seldom.py")]
    run = command.run(tmp_path, environments, *chosen, timeout=600.0)
    (cell,) = run.verdict.cells
    assert cell.verdict == "pass"
    told = reader.read(run.trace(cell.name)).reported[0]
    assert [r.loss for r in told[:2]] == [None, None]  # the second is the mean of two
    assert [r.grad_norm is None for r in told[:2]] == [True, False]
    assert len(told) == 3
