"""What `--on slurm` and the options beside it ask for. Wrong ones: `tests/harness/test_wrong_lines.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.commands import on_cluster
from harness.commands.on_cluster import Asked, Cluster
from harness.commands.stop import Stop
from harness.launch import slurm
from harness.launch.slurm import Allocation
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
