"""What `--on slurm` and the options beside it ask for. Wrong ones: `tests/harness/test_wrong_lines.py`."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.commands import on_cluster
from harness.commands.on_cluster import Asked, Cluster
from harness.commands.stop import Stop
from harness.launch.cluster import slurm
from harness.launch.cluster.slurm import Allocation
from harness.site import current
from harness.site.site import Site

ON = Asked(Cluster.slurm)


@pytest.fixture(autouse=True)
def there_is_a_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "check", lambda: None)


def test_without_it_cells_run_here() -> None:
    assert on_cluster.allocation(Asked(), None) is None


def test_what_is_not_said_has_its_default() -> None:
    assert on_cluster.allocation(ON, None) == Allocation()


def test_what_is_said_is_asked_for() -> None:
    asked = replace(ON, nodes=4, gres="gpu:4", srun=["--uenv=a:1", "--label"], prolog=["module load x"])
    assert on_cluster.allocation(asked, Path("out")) == Allocation(
        nodes=4, gres="gpu:4", srun=("--uenv=a:1", "--label"), prolog=("module load x",)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"srun": ["container"]}, "give one option of srun"),
        ({"sbatch": ["--a;b=1"]}, "give one option of sbatch"),
        ({"prolog": ["a\nb"]}, "--prolog"),
        ({"partition": ""}, "--partition is empty"),
    ],
)
def test_what_is_no_option_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(Stop, match=said):
        on_cluster.allocation(replace(ON, **options), None)


def test_a_folder_that_slurm_would_read_as_a_pattern_is_refused() -> None:
    with pytest.raises(Stop, match="reads a %"):
        on_cluster.allocation(ON, Path("100%"))


def test_the_site_file_says_what_the_command_line_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site.model_validate({"slurm": {"partition": "gpu", "nodes": 2, "srun": {"uenv": "a:1"}, "prolog": ["x"]}})
    monkeypatch.setattr(current, "_current", site)
    asked = replace(ON, nodes=4, prolog=["y"])
    assert on_cluster.allocation(asked, None) == Allocation(
        partition="gpu", nodes=4, srun=("--uenv=a:1",), prolog=("y",)
    )
    assert on_cluster.allocation(Asked(), None) is None


def test_each_node_may_build_its_own_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = on_cluster.allocation(ON, None, Path("local"))
    assert found is not None
    assert found.builds == tmp_path / f"lockstep-envs-{os.geteuid()}"
    assert on_cluster.shared(Path("local"), found) is None
    assert on_cluster.shared(Path("local"), None) == Path("local"), "a folder of that name"
    with pytest.raises(Stop, match="--nnodes asks for several"):
        on_cluster.allocation(replace(ON, nnodes=2), None, Path("local"))


def test_a_command_with_one_job_has_no_number_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "_current", Site.model_validate({"slurm": {"nodes": 4, "nnodes": 2}}))
    assert on_cluster.one_job(ON, None) == Allocation()
    assert on_cluster.one_job(replace(ON, nnodes=3), None) == Allocation(nnodes=3)
    assert on_cluster.one_job(Asked(), None) is None
    with pytest.raises(Stop, match="--nnodes is the number of its nodes"):
        on_cluster.one_job(replace(ON, nodes=2), None)


def test_where_cells_run_on_one_node_each_the_site_does_not_spread_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "_current", Site.model_validate({"slurm": {"nnodes": 2}}))
    assert on_cluster.allocation(ON, None, spread=False) == Allocation()
