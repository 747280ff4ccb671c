"""Every way of keeping an optimizer's state that a recording can read, on two ranks, under one unchanged loop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.frameworks.recorded import hashed, interpreter, judged, launched, ran, recorded

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

LOOP = str(Path(__file__).with_name("engine_loop.py"))
TORCH, DEEPSPEED = "trl==1.16.0", "deepspeed==0.19.8"
MEAN = ": a mean over the tokens of the window, "
WHOLE = f"every trained token of 4 micro-batches on 2 ranks weighs 1/117{MEAN}gradient norm 1.29"
CLIPPED = re.compile(
    r"every trained token of 4 micro-batches on 2 ranks weighs 0\.776\d/117, 0\.77[89]\d/117, 0\.77[23]\d/117"
    + re.escape(f"{MEAN}clipped 1.29, 1.28, 1.29 -> 1")
)
"""DeepSpeed 0.19.8 clips at 1 where nothing is said. Its stages differ by the rounding of float32."""
COARSE = f"/117{MEAN}clipped 1.29, 1.28, 1."

ON_TORCH = (
    "ddp",
    "fsdp1",
    "fsdp2",
    "hsdp",
    "fused",
    "foreach",
    "redundancy",
    "sgd",
    "momentum",
    "adafactor",
    "muon",
    "halves",
)
MIXED = ("fsdp1+sgd", "fsdp1-flat+sgd", "fsdp2+sgd")
FULL = ("zero0", "zero1", "zero2", "zero2-offload", "zero3-offload")
SIXTEEN_BITS = ("zero0-bf16", "zero1-bf16", "zero1-bf16-sums", "zero2-bf16", "zero3-bf16")


def told(framework: str, engine: str, environments: Path, folder: Path) -> str:
    recorded(launched(interpreter(framework, environments), 2, 29651, LOOP, engine), folder)
    done = judged(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_parameters_that_are_cut_out_of_a_flat_one(environments: Path, tmp_path: Path) -> None:
    assert WHOLE in told(TORCH, "fsdp1-flat", environments, tmp_path)


def test_parameters_that_no_rank_has(environments: Path, tmp_path: Path) -> None:
    assert CLIPPED.search(told(DEEPSPEED, "zero3", environments, tmp_path))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("engine", "framework"), [("fsdp1", TORCH), ("muon", TORCH), ("zero3", DEEPSPEED)])
def test_recorded_parameters_are_the_same(engine: str, framework: str, environments: Path, tmp_path: Path) -> None:
    """To the bit those of an unrecorded run."""
    command = launched(interpreter(framework, environments), 2, 29653, LOOP, engine)
    watched, alone = recorded(command, tmp_path / "watched"), ran(command, tmp_path / "alone")
    assert sorted(hashed(watched)) == sorted(hashed(alone)) != []


@pytest.mark.exhaustive
@pytest.mark.parametrize("engine", [*ON_TORCH, *MIXED])
def test_optimizers_of_torch(engine: str, environments: Path, tmp_path: Path) -> None:
    assert WHOLE in told(TORCH, engine, environments, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("engine", FULL)
def test_stages_of_zero(engine: str, environments: Path, tmp_path: Path) -> None:
    assert CLIPPED.search(told(DEEPSPEED, engine, environments, tmp_path))


@pytest.mark.exhaustive
@pytest.mark.parametrize("engine", SIXTEEN_BITS)
def test_masters_of_sixteen_bits(engine: str, environments: Path, tmp_path: Path) -> None:
    assert COARSE in told(DEEPSPEED, engine, environments, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("engine", "framework"),
    [
        ("ddp@q_proj,v_proj", TORCH),
        ("fsdp1@v_proj,down_proj", TORCH),
        ("fsdp2@v_proj,down_proj", TORCH),
        ("zero2-bf16@q_proj,v_proj", DEEPSPEED),
        ("zero3@v_proj,down_proj", DEEPSPEED),
    ],
)
def test_adapters(engine: str, framework: str, environments: Path, tmp_path: Path) -> None:
    found = told(framework, engine, environments, tmp_path)
    assert "4 micro-batches on 2 ranks weigh" in found
    assert MEAN in found


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "engine", ["ddp+lost@q_proj,v_proj", "fsdp1+lost@v_proj,down_proj", "fsdp2+lost@v_proj,down_proj"]
)
def test_adapters_show_that_micro_batches_are_lost(engine: str, environments: Path, tmp_path: Path) -> None:
    recorded(launched(interpreter(TORCH, environments), 2, 29651, LOOP, engine), tmp_path)
    done = judged(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "weights.dropped-micro-batches" in done.stdout


@pytest.mark.exhaustive
def test_no_moment_and_no_gradient_is_unknown(environments: Path, tmp_path: Path) -> None:
    recorded(launched(interpreter(DEEPSPEED, environments), 2, 29651, LOOP, "zero2-sgd"), tmp_path)
    done = judged(tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "step 0's tokens: SGD keeps no mean of its gradients, and the engine has none for it" in done.stdout
