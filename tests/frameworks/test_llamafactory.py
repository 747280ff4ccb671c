"""What is wrong, and what is right, in LLaMA-Factory; and that its own command line trains as it stands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import adapters
import scenarios
from harness.environments import build
from harness.environments.request import Request
from harness.launch.variables import child_environment
from scenarios import checkpoint
from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.reading import details, diagnosis

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

NEWEST = "llamafactory==0.9.5"
OLD_DEEPSPEED = f"{NEWEST},deepspeed==0.18.9"


def test_a_processor_makes_it_a_mean_of_means(newest: Run) -> None:
    """model_accepts_loss_kwargs = False as soon as there is a processor (train/sft/trainer.py)."""
    found = newest.cell(f"{NEWEST}/sft-ragged-processor")
    assert found.verdict == "accepted"  # scenarios/accepted.toml
    assert [d["level"] for d in details(found, "weights.mean-of-means")] == ["micro-batch"] * 3
    assert [d.cause for d in found.diagnoses] == ["mean-of-means"]
    assert "processor" in (found.diagnoses[0].upstream or "")
    assert found.diagnoses[0].remedy


def test_smoothed_labels_make_it_a_mean_of_means_and_eight_times_too_long(newest: Run) -> None:
    """LabelSmoother of transformers 5.6.0 divides by the tokens of its own micro-batch."""
    found = newest.cell(f"{NEWEST}/sft-ragged-smoothed")
    assert found.verdict == "accepted"  # scenarios/accepted.toml
    assert [d.kind for d in found.diagnoses] == ["mean-of-means: micro-batch", "gradient-scale: GA x world size"]
    assert all("transformers 5.6.0" in (d.upstream or "") for d in found.diagnoses)


def test_the_auxiliary_loss_of_a_router_is_added_up(newest: Run) -> None:
    """Over micro-batches and ranks, where its coefficient asks for the mean."""
    found = newest.cell(f"{NEWEST}/sft-ragged-moe-aux")
    assert found.verdict == "accepted"  # scenarios/accepted.toml
    assert [d.cause for d in found.diagnoses] == ["auxiliary-loss"]
    assert "num_items_in_batch" in (found.diagnoses[0].upstream or "")
    told = [float(f.observed or 0.0) for f in found.findings if f.code == "weights.auxiliary"]
    assert told == pytest.approx([8.0] * 3, rel=1e-3)


def test_the_deepspeed_that_it_asks_for_drops_micro_batches(newest: Run) -> None:
    """requirements/deepspeed.txt of 0.9.5 ends at 0.18.4."""
    found = newest.cell(f"{NEWEST}/sft-ragged-zero2-offload")
    assert found.verdict == "accepted"  # scenarios/accepted.toml
    assert [d.kind for d in found.diagnoses] == ["dropped-micro-batches: 1, 2 of 4"]
    assert "7967" in (found.diagnoses[0].upstream or "")


def test_deepspeed_below_drops_micro_batches(trainers: Run) -> None:
    found = trainers.cell(f"{OLD_DEEPSPEED}/sft-ragged-zero2-offload")
    said = details(found, "weights.dropped-micro-batches")
    assert [(d["dropped"], d["kept"], d["of"], d["ranks"]) for d in said] == [([1, 2], [0, 3], 4, [0, 1])] * 3
    assert [d.cause for d in found.diagnoses] == ["dropped-micro-batches"]


def test_older_deepspeed_is_right_without_offload(trainers: Run) -> None:
    for name in ("sft-ragged", "sft-equal", "sft-ragged-pairs"):
        assert trainers.cell(f"{OLD_DEEPSPEED}/{name}").verdict == "pass", name


def test_what_was_changed_for_this_machine_is_declared(newest: Run) -> None:
    header = json.loads((newest.trace(f"{NEWEST}/sft-ragged") / "header.json").read_text())
    assert [shim["name"] for shim in header["shims"]] == ["stub-torchaudio"]
    header = json.loads((newest.trace("trl==1.16.0/sft-ragged") / "header.json").read_text())
    assert header["shims"] == []
    for release in (NEWEST, "trl==1.16.0"):
        header = json.loads((newest.trace(f"{release}/sft-ragged-zero2-offload") / "header.json").read_text())
        assert {"torch-adam", "without-shm-op"} <= {shim["name"] for shim in header["shims"]}


def test_its_own_command_line_trains(tmp_path: Path, environments: Path) -> None:
    """`llamafactory-cli train x.yaml` on two processes, with nothing of Lockstep's in them but the stand-in."""
    environment = build.ensure(Request("llamafactory", "0.9.5"), environments, print)
    scenario = scenarios.get("sft-ragged")
    checkpoint.write(scenario, tmp_path / "model")
    rows = [json.loads(line)["messages"] for line in (tmp_path / "model" / "rows.jsonl").read_text().splitlines()]
    alpaca = [{"instruction": m[0]["content"], "input": "", "output": m[1]["content"]} for m in rows]
    (tmp_path / "rows.json").write_text(json.dumps(alpaca))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    (tmp_path / "x.yaml").write_text(json.dumps(YAML | {"model_name_or_path": str(tmp_path / "model")}))
    own = {**environment.variables, **environment.cpu_variables}
    stubs = Path(adapters.__path__[0]) / "inside" / "stubbed" / "torchaudio"
    variables = child_environment(environment.python, own, stubs) | {
        "FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2", "GLOO_SOCKET_IFNAME": "lo", "TMPDIR": str(tmp_path),
        "HF_HOME": str(tmp_path / "cache"),
    }  # fmt: skip
    words = [str(environment.python.with_name("llamafactory-cli")), "train", "x.yaml"]
    done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads((tmp_path / "output" / "trainer_state.json").read_text())
    assert state["global_step"] == 3
    assert [round(entry["learning_rate"], 9) for entry in state["log_history"][:3]] == [1e-3] * 3
    assert (tmp_path / "output" / "model.safetensors").stat().st_size > 100_000


RESUMED = """
base = "sft-ragged"
sharding.strategy = "fsdp"
window.resume_after = 1
"""


@pytest.mark.exhaustive
def test_a_run_under_fsdp2_goes_on_with_a_new_optimizer(tmp_path: Path, environments: Path) -> None:
    """By accelerate, of which this release takes none that has it mended."""
    (tmp_path / "resumed.toml").write_text(RESUMED)
    run = command.run(tmp_path, environments, "--framework", NEWEST, "--scenario", str(tmp_path / "resumed.toml"))
    (found,) = run.verdict.cells
    assert diagnosis(found, "resume").kind == "resume: optimizer"
    assert "accelerate 1.13.0" in (diagnosis(found, "resume").upstream or "")


YAML = {
    "stage": "sft", "do_train": True, "finetuning_type": "full", "dataset": "rows", "dataset_dir": ".",
    "output_dir": "output", "max_steps": 3, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 4,
    "learning_rate": 1e-3, "lr_scheduler_type": "constant", "logging_steps": 1, "report_to": "none", "use_cpu": True,
    "ddp_backend": "gloo", "disable_gradient_checkpointing": True,
}  # fmt: skip
