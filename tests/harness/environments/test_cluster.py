"""What doctor says of cards, Slurm and file systems, by programs that stand on PATH as a cluster's would."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments import cluster, mounts
from harness.environments.probe import Probe


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(cluster, "_DRIVER", tmp_path / "driver")
    return tmp_path / "bin"


def put(folder: Path, name: str, says: str, status: int = 0) -> None:
    (folder / name).write_text(f"#!/bin/sh\nprintf '{says}'\nexit {status}\n")
    (folder / name).chmod(0o755)


def found(root: Path) -> dict[str, Probe]:
    return {probe.name: probe for probe in cluster.probes(root)}


def test_where_there_is_nothing_each_line_says_what_to_do(programs: Path) -> None:
    told = found(programs)
    assert (told["CUDA"].says, told["Slurm"].says) == ("no NVIDIA driver", "no sinfo and srun on PATH")
    assert all(probe.ok or probe.remedy for probe in told.values())
    assert not any(probe.required for probe in told.values() if not probe.ok)


def test_cards_and_their_driver(programs: Path) -> None:
    (programs.parent / "driver").write_text("NVRM version: NVIDIA UNIX Open Kernel Module  570.86.15  Release Build\n")
    put(programs, "nvidia-smi", "NVIDIA GH200 120GB, 97871 MiB\\n" * 4)
    told = found(programs)
    assert told["CUDA"].ok
    assert told["CUDA"].says == (
        "driver 570.86.15, 4 x NVIDIA GH200 120GB, 97871 MiB, `make gpu-check` tries it in 8 minutes"
    )


def test_a_broken_driver_is_no_card(programs: Path) -> None:
    put(programs, "nvidia-smi", "failed to communicate", status=9)
    assert not found(programs)["CUDA"].ok


def test_slurm_with_its_partitions(programs: Path) -> None:
    put(programs, "sinfo", "normal* up 12\\ndebug up 2\\nnormal* up 12\\n")
    put(programs, "srun", "slurm 23.11.4\\n")
    told = found(programs)["Slurm"]
    assert told.ok
    assert told.says == "slurm 23.11.4: normal* (up, 12 nodes), debug (up, 2 nodes)"


def test_slurm_without_a_controller(programs: Path) -> None:
    put(programs, "sinfo", "", status=1)
    put(programs, "srun", "slurm 23.11.4\\n")
    told = found(programs)["Slurm"]
    assert (told.ok, told.required) == (False, False)
    assert told.says == "slurm 23.11.4, and no controller answers sinfo"


@pytest.mark.parametrize(
    ("options", "ok", "required", "said"),
    [
        ("rw,flock", True, False, mounts.BETWEEN),
        ("rw,localflock", False, False, mounts.HERE),
        ("rw", False, True, mounts.NONE),
    ],
)
def test_a_shared_folder(
    programs: Path, monkeypatch: pytest.MonkeyPatch, options: str, ok: bool, required: bool, said: str
) -> None:
    table = programs.parent / "mounts"
    table.write_text(f"/dev/sda1 / ext4 rw 0 0\nmgs:/fs /shared lustre {options} 0 0\n")
    of = mounts.of
    monkeypatch.setattr(mounts, "of", lambda path: of(path, table))
    told = found(Path("/shared/envs"))["files of environments"]
    assert (told.ok, told.required) == (ok, required)
    assert told.says == f"/shared/envs is on lustre, shared: {said}"


def test_torch_is_told_without_being_imported(programs: Path) -> None:
    assert "NCCL" in found(programs)["torch"].says
