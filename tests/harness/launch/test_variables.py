"""What a framework's environment sees of the harness's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.launch.pythonpath import adapters_alone
from harness.launch.variables import child_environment


def test_another_job_and_another_python_do_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ["RANK", "WORLD_SIZE", "MASTER_PORT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "TORCHELASTIC_RUN_ID"]
    foreign.append("LOCKSTEP_PATCH")
    for name in [*foreign, "DS_ACCELERATOR", "KEPT"]:
        monkeypatch.setenv(name, "foreign")
    result = child_environment(Path("/env/bin/python"), {"DS_ACCELERATOR": "cpu"}, Path("/alone"))
    assert not {n for n in foreign if result.get(n) == "foreign"}
    assert (result["KEPT"], result["DS_ACCELERATOR"], result["OMP_NUM_THREADS"]) == ("foreign", "cpu", "1")
    assert result["PATH"].split(os.pathsep)[0] == "/env/bin"
    assert result["PYTHONPATH"] == "/alone"


def test_an_environment_may_have_a_path_of_its_own() -> None:
    result = child_environment(Path("python"), {"PYTHONPATH": "/overlay"}, Path("/alone"))
    assert result["PYTHONPATH"].split(os.pathsep) == ["/alone", "/overlay"]


def test_only_adapters_are_on_the_path() -> None:
    with adapters_alone() as folder:
        assert [entry.name for entry in folder.iterdir()] == ["adapters"]
        assert (folder / "adapters" / "contract.py").exists()
    assert not folder.exists()
