"""What is there for the sake of CUDA devices, as far as a CPU has it: the same bits, one kernel for AdamW, memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.traces import text_files
from tests.frameworks import command
from tests.frameworks.command import Run

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

FUSED = 'base = "sft-ragged"\nname = "fused"\n[optimizer]\nfused = true\n'
FLASH = 'base = "sft-ragged-bf16"\nname = "flash"\n[model]\nattention = "flash"\n'


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    """Scenarios that ask for kernels, on who honours that."""
    folder = tmp_path_factory.mktemp("kernels")
    chosen = [word for name in ("ddp", "fsdp2", "trl", "deepspeed") for word in ("--framework", name)]
    for name, content in (("fused", FUSED), ("flash", FLASH)):
        (folder / f"{name}.toml").write_text(content)
        chosen += ["--scenario", str(folder / f"{name}.toml")]
    return command.run(folder, environments, *chosen)


def test_the_same_bits_on_request_and_memory_in_the_trace(tmp_path: Path, environments: Path) -> None:
    run = command.run(
        tmp_path, environments, "--framework", "torch", "--scenario", "sft-ragged", "--deterministic", name="same"
    )
    (cell,) = run.verdict.cells
    assert cell.verdict == "pass"
    assert cell.command is not None
    assert cell.command.endswith(" --deterministic")
    trace = run.trace(cell.name)
    header, scenario = text_files.header(trace)
    assert (header.hardware["deterministic"], header.hardware["float32_products"]) == (True, "highest")
    for rank in range(scenario.window.ranks):
        lines = text_files.memory(trace, rank)
        assert [line.step for line in lines] == list(range(scenario.window.steps))
        assert all(line.reserved is None and line.resident > 2**24 for line in lines)


@pytest.mark.exhaustive
def test_one_kernel_for_the_whole_optimizer_is_right(kernels: Run) -> None:
    found = {cell.framework: cell for cell in kernels.verdict.cells if cell.scenario == "fused"}
    assert {name: cell.verdict for name, cell in found.items()} == {
        **dict.fromkeys(("ddp", "fsdp2", "trl"), "pass"),
        "deepspeed": "unsupported",
    }
    assert "its own Adam needs CUDA" in (found["deepspeed"].reason or "")


@pytest.mark.exhaustive
def test_flash_attention_needs_cuda(kernels: Run) -> None:
    found = [cell for cell in kernels.verdict.cells if cell.scenario == "flash"]
    assert len(found) == 4
    assert all(cell.verdict == "unsupported" and "needs CUDA" in (cell.reason or "") for cell in found)
