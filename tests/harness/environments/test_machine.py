from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments import machine
from harness.environments.probe import Probe


def by_name(root: Path) -> dict[str, Probe]:
    return {probe.name: probe for probe in machine.probes(root)}


def test_every_gap_says_what_to_do(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/none")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("harness.environments.installer.find_uv", lambda: None)
    found = by_name(root)
    assert {"uv", "git", "make", "C++ compiler"} <= {name for name, probe in found.items() if not probe.ok}
    assert all(probe.ok or probe.remedy for probe in found.values())
    assert not machine.can_run(list(found.values()))


def test_optional_gaps_do_not_stop_a_run(root: Path) -> None:
    gaps = [Probe("CUDA", False, "none", "x", required=False), Probe("uv", True, "/uv")]
    assert machine.can_run(gaps)
    assert not machine.can_run([*gaps, Probe("disk", False, "full", "free some")])


def test_a_folder_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not by_name(tmp_path / "file")["environments folder"].ok


def test_looking_makes_nothing(root: Path) -> None:
    machine.probes(root / "deep" / "down")
    assert not root.exists()
