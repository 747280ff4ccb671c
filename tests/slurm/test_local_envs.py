"""`--envs local`: environments that the nodes build in folders of their own, on a real Slurm of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.environments import store
from tests.frameworks import command
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.exhaustive, pytest.mark.frameworks, pytest.mark.timeout(1200)]

LOCAL = ("--on", "slurm", "--framework", "torch", "--scenario", "sft-equal")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the nodes, named by a site file."""
    (tmp_path / "site.toml").write_text(f'scratch = "{tmp_path / "scratch"}"\n')
    monkeypatch.setenv("LOCKSTEP_SITE", str(tmp_path / "site.toml"))
    return tmp_path / "scratch" / f"lockstep-envs-{os.geteuid()}"


def test_a_node_builds_its_environment_once(
    slurm: Cluster, scratch: Path, tmp_path: Path, environments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = command.run(tmp_path, environments, *LOCAL, name="shared")
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "resolved"))
    first = command.run(tmp_path, Path("local"), *LOCAL, name="first")
    assert (first.status, first.survivors) == (0, ()), first.said
    (built,) = (stored for stored in store.stored(scratch) if stored.whole)
    second = command.run(tmp_path, Path("local"), *LOCAL, name="second")
    assert second.status == 0
    assert [stored.name for stored in store.stored(scratch)] == [built.name]
    assert not [stored for stored in store.stored(tmp_path / "resolved") if stored.whole]
    told = [[(c.name, c.verdict, c.environment) for c in run.verdict.cells] for run in (shared, first, second)]
    assert told[0] == told[1] == told[2]
    assert len(built.name) > len("torch")


def test_what_cannot_be_built_there_is_told(
    slurm: Cluster, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "resolved"))
    scratch.mkdir(parents=True)
    scratch.chmod(0o777)
    run = command.run(tmp_path, Path("local"), *LOCAL)
    assert run.status == 3
    assert "which nobody else can write to" in (run.verdict.cells[0].reason or "")
