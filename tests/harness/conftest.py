"""A small right trace, recorded once, and copies of it to break."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapters.contract import Model
from adapters.faults import RIGHT
from harness.oracle.basis import BasisCache
from scenarios import catalogue
from tests.faults import simulate


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 ranks x 2 micro-batches x 1 row, 2 steps. Never change it; take a copy by `trace`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = Model(hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=16, vocab_size=64)
    base = catalogue.compose((3, 5, 2, 4), 2, 0)
    words = catalogue.text.vocabulary(64)
    rows = catalogue.text.conversations(words, [4, 3, 5, 2] * 2, [3, 5, 2, 4, 4, 2, 5, 3], 0)
    scenario = replace(base, name="small", model=model, vocabulary=words, rows=rows, accumulation=2)
    trace = simulate.run(scenario, RIGHT, tmp_path_factory.mktemp("good"))
    torch.set_num_threads(threads)
    return trace


@pytest.fixture
def trace(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "trace"))


@pytest.fixture(scope="session")
def bases() -> BasisCache:
    """Broken traces mostly start as the right one does: one basis serves them."""
    return BasisCache()
