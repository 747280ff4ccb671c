"""The table is Markdown whatever stands in it, and says on what it was made."""

from __future__ import annotations

from harness.gpucheck import table
from harness.gpucheck.running import Result
from harness.judging.devices import Measured

MEASURED = Measured(cells=2, floor={"token": 1e-6}, largest={"token": 1.25})


def test_a_page_says_where_and_what() -> None:
    results = [
        Result("torch", "torch 2.13.0", "pass", "3 pass", 12.4, 3 * 2**29),
        Result("trl", "trl", "unknown", "a|b\nc", 0),
    ]
    page = table.page({"device": "a card"}, results, {"fp32": MEASURED}, 99.0, "cuda")
    assert "# GPU check on CUDA\n\n- device: a card\n" in page
    assert "| torch | torch 2.13.0 | pass | 12 | 1.5 GiB | 3 pass |\n" in page
    assert "| trl | trl | unknown | 0 | not told | a\\|b" in page
    assert "## Right cells in floors, fp32, 2 cells\n" in page
    assert "| weight of a token, relative to the largest | 1.0e-06 | 1.25 |\n" in page


def test_a_page_of_a_cpu_shows_nothing_of_cuda() -> None:
    assert "nothing is shown of CUDA" in table.page({}, [], {}, 1.0, "cpu")
    assert table.memory(5 * 2**20) == "5 MiB"
