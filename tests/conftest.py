"""What the tests of several folders share."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from adapters.contract import Model, vary
from adapters.faults import RIGHT
from harness.environments import store
from harness.history import store as history
from scenarios import bases, text
from tests.faults import simulate
from tests.slurm.cluster import Cluster, cluster

collect_ignore = ["library"]
"""Somebody else's tests, which are to fail: `tests/lockstep_recorder/test_pytest_plugin.py` runs them."""

# How long an example takes hangs on what else the machine does.
settings.register_profile("busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# What runs in a shell's background ignores SIGINT, and so would everything that a test starts from there.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Path:
    """The checkout's own folder of environments: what was built once serves every later run of the tests."""
    return pytestconfig.rootpath / store.default_root()


@pytest.fixture(scope="session", autouse=True)
def own_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests measure is kept apart from what the user did, and no test finds it done already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(history.VARIABLE, str(tmp_path_factory.mktemp("history") / "history.sqlite"))
        yield


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 ranks x 2 micro-batches x 1 row, 2 steps. Never change it; take a copy by `trace`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = Model(hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=16, vocab_size=64)
    base = bases.compose((3, 5, 2, 4), 2, 0)
    words = text.vocabulary(64)
    rows = text.conversations(words, [4, 3, 5, 2] * 2, [3, 5, 2, 4, 4, 2, 5, 3], 0)
    scenario = vary(base, name="small", model=model, vocabulary=words, rows=rows, accumulation=2)
    trace = simulate.run(scenario, RIGHT, tmp_path_factory.mktemp("good"))
    torch.set_num_threads(threads)
    return trace


@pytest.fixture
def trace(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "trace"))


@pytest.fixture(scope="session")
def running_slurm() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def slurm(running_slurm: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A Slurm of two nodes, which has nothing to do before and afterwards."""
    for name, value in running_slurm.variables.items():
        monkeypatch.setenv(name, value)
    assert running_slurm.jobs() == []
    yield running_slurm
    assert running_slurm.quiet(), running_slurm.jobs("%A-%T-%r")
