"""One thread a process, and bases shared by all tests: what a scenario's first step looks like is computed once."""

from __future__ import annotations

import pytest
import torch

from harness.oracle.basis_cache import BasisCache


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The models are tiny: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cache() -> BasisCache:
    return BasisCache(16)
