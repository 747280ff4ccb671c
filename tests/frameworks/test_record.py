"""Stock scripts on real releases, recorded from outside with no line of them changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frameworks.recorded import hashed, interpreter, judged, launched, ran, recorded

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
NARROW, WIDE = "64", "384"
"""Widths of models of 4 and 30 million parameters."""


def test_a_stock_script_on_two_ranks(environments: Path, tmp_path: Path) -> None:
    """A token mean, to the bit what it is unrecorded."""
    python = interpreter("trl==1.16.0", environments)
    command = launched(python, 2, 29641, str(HERE / "stock_trl.py"), NARROW)
    watched = recorded(command, tmp_path / "watched")
    alone = ran(command, tmp_path / "alone")
    assert hashed(watched) == hashed(alone) != []
    told = judged(tmp_path / "watched")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "every trained token of 4 micro-batches on 2 ranks weighs" in told.stdout
    assert ": a mean over the tokens of the window" in told.stdout


@pytest.mark.exhaustive
@pytest.mark.parametrize("more", [[], ["bf16"]], ids=["fp32", "bf16"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_thirty_million_parameters(environments: Path, tmp_path: Path, ranks: int, more: list[str]) -> None:
    python = interpreter("trl==1.16.0", environments)
    recorded(launched(python, ranks, 29643, str(HERE / "stock_trl.py"), WIDE, *more), tmp_path / "run")
    told = judged(tmp_path / "run")
    assert told.returncode == 0, told.stdout + told.stderr
    assert ": a mean over the tokens of the window" in told.stdout


@pytest.mark.exhaustive
@pytest.mark.parametrize("more", ["lora", "lora checkpointing", "lora bf16", "checkpointing", "packing", "compile"])
def test_other_ways_to_train(environments: Path, tmp_path: Path, more: str) -> None:
    """Adapters on all linear layers; layers that are run again; packed texts; a compiled model."""
    python = interpreter("trl==1.16.0,peft==0.19.1", environments)
    command = launched(python, 2, 29647, str(HERE / "stock_trl.py"), NARROW, *more.split())
    watched = recorded(command, tmp_path / "watched")
    assert hashed(watched) == hashed(ran(command, tmp_path / "alone")) != []
    told = judged(tmp_path / "watched")
    assert told.returncode == 0, told.stdout + told.stderr
    assert ": a mean over the tokens of the window" in told.stdout


@pytest.mark.exhaustive
def test_offload_drops_micro_batches_of_a_stock_script(environments: Path, tmp_path: Path) -> None:
    """DeepSpeed 0.18.9, ZeRO 2, the optimizer on the CPU."""
    python = interpreter("trl==1.16.0,deepspeed==0.18.9", environments)
    words = [str(HERE / "no_grad_step.py"), str(HERE / "stock_trl.py"), NARROW, "zero2-offload"]
    recorded(launched(python, 2, 29645, *words), tmp_path / "run")
    told = judged(tmp_path / "run")
    assert told.returncode == 1, told.stdout + told.stderr
    for step in range(3):
        assert f"step {step}: micro-batches 1 and 2 of 4 never reached the optimizer" in told.stdout
