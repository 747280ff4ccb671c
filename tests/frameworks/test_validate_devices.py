"""What was made for GPUs, as `lockstep validate` runs it on a CPU, and what it would do on CUDA."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.environments import build
from harness.environments.request import Request, parse
from harness.launch.pythonpath import adapters_alone
from tests.frameworks import proofs
from tests.frameworks.test_validate import CONFIGURATION
from tests.frameworks.validated import Done, validated
from tests.harness.validation import written

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

SMALL = {"model_name_or_path": "meta-llama/Llama-3.2-1B", "bf16": True, "gradient_accumulation_steps": 2}
FACTORY = {**written.FACTORY, **SMALL, "template": "llama3", "per_device_train_batch_size": 1}


def recovered(done: Done, what: str) -> str:
    return next(part.recovered or "" for part in done.record.plan.step if part.what == what)


def test_ligers_kernels_under_the_interpreter(tmp_path: Path, environments: Path) -> None:
    """In bfloat16, whose bits the interpreter would take for whole numbers."""
    done = validated(tmp_path, environments, {**FACTORY, "enable_liger_kernel": True})
    assert done.status == 0, done.printed + done.said
    assert done.record.environment == f"llamafactory==0.9.5,{proofs.LIGER}"
    assert "triton-interpreter" in {shim.name for shim in done.record.shims}
    assert [run.steps for run in done.record.runs] == [[0, 1], list(range(8))]
    assert not [said for said in done.record.not_covered if "iger" in said]
    assert recovered(done, "aggregation") == "a mean over the tokens of the window"


@pytest.mark.exhaustive
def test_an_older_release_with_its_own_fused_loss(tmp_path: Path, environments: Path) -> None:
    values = {**CONFIGURATION, **SMALL, "use_liger_kernel": True}
    done = validated(tmp_path, environments, values, versions="trl==0.18.1\ntransformers==4.52.3\n")
    assert done.status == 0, done.printed + done.said
    assert done.record.packages["liger-kernel"] == "0.5.10"
    assert recovered(done, "aggregation") == "a mean over the ranks, each averaged by itself"


@pytest.mark.exhaustive
def test_an_optimizer_of_8_bits(tmp_path: Path, environments: Path) -> None:
    """The other run tells the rates."""
    values = {**CONFIGURATION, **SMALL, "optim": "paged_adamw_8bit"}
    done = validated(tmp_path, environments, values, versions="trl==1.16.0\n")
    assert done.status == 0, done.printed + done.said
    assert "bitsandbytes" in done.record.packages
    assert recovered(done, "schedule").endswith(" as expected, over 8 steps")
    assert any("of 8 bits or fewer" in said for said in done.record.not_covered)


@pytest.mark.parametrize(
    ("framework", "module", "given"),
    [
        ("trl==1.16.0", "of_trainer", {"stage": 2}),
        pytest.param("openrlhf==0.11.2", "of_openrlhf", {"stage": 2, "compute": "bf16"}, marks=pytest.mark.exhaustive),
        pytest.param(
            "verl==0.9.1",
            "of_verl",
            {"more": {"rows": "rows.jsonl", "parquet": "rows.parquet"}},
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_on_cuda_no_shim_of_a_cpu_is_applied(
    tmp_path: Path, environments: Path, framework: str, module: str, given: dict[str, object]
) -> None:
    """But for stand-ins of packages that are not there, and labels that are told to the recorder."""
    (tmp_path / "rows.jsonl").write_text("{}\n")
    asked: Request = parse(framework)
    environment = build.ensure(asked.resolved(), environments, print)
    code = (
        "import sys, json; from adapters.contract import Given; from adapters.given import "
        f"{module} as of; given = Given('x', 'x', (), 1, device='cuda', **json.loads(sys.argv[1]));"
        "print(json.dumps([shim.name for shim in of.apply(given)]))"
    )
    with adapters_alone() as folder:
        variables = environment.environ("cuda") | {"PYTHONPATH": str(folder), "DS_ACCELERATOR": "cuda"}
        command = [str(environment.python), "-c", code, json.dumps(given)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=variables)
    names = set(json.loads(done.stdout.splitlines()[-1]))
    assert {name for name in names if not name.startswith("stub-")} <= {"labels-told"}


@pytest.mark.exhaustive
def test_without_a_cuda_device_nothing_is_said(tmp_path: Path, environments: Path) -> None:
    done = validated(tmp_path, environments, CONFIGURATION, None, "--device", "cuda")
    assert done.status == 3
    assert "each of 2 ranks needs a device, and torch sees 0" in done.printed
