"""What a framework's environment sees of the harness's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.environments.variables import BadVariable
from harness.launch.pythonpath import adapters_alone
from harness.launch.variables import child_environment, passed


def test_another_job_and_another_python_do_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ["RANK", "WORLD_SIZE", "MASTER_PORT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "TORCHELASTIC_RUN_ID"]
    foreign += ["LOCKSTEP_PATCHES", "GH_TOKEN", "UNKNOWN"]
    for name in [*foreign, "DS_ACCELERATOR", "LC_ALL"]:
        monkeypatch.setenv(name, "foreign")
    result = child_environment(Path("/env/bin/python"), {"DS_ACCELERATOR": "cpu"}, Path("/alone"))
    assert not {n for n in foreign if result.get(n) == "foreign"}
    assert (result["LC_ALL"], result["DS_ACCELERATOR"], result["OMP_NUM_THREADS"]) == ("foreign", "cpu", "1")
    assert result["PATH"].split(os.pathsep)[0] == "/env/bin"
    assert result["PYTHONPATH"] == "/alone"


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONPATH", "RANK", "LOCKSTEP_PATCHES", "NOT_SET"])
def test_what_lockstep_sets_and_what_is_not_there_cannot_be_passed_on(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with pytest.raises(BadVariable, match=f"^--pass-env {name}: "):
        passed([name])


def test_what_the_user_names_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "1")
    assert passed(["MINE"]) == {"MINE": "1"}


def test_an_environment_may_have_a_path_of_its_own() -> None:
    result = child_environment(Path("python"), {"PYTHONPATH": "/overlay"}, Path("/alone"))
    assert result["PYTHONPATH"].split(os.pathsep) == ["/alone", "/overlay"]


def test_only_adapters_are_on_the_path() -> None:
    with adapters_alone() as folder:
        assert [entry.name for entry in folder.iterdir()] == ["adapters"]
        assert (folder / "adapters" / "faults.py").exists()
    assert not folder.exists()
