from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.environments import disk_use

MIB = 2**20


@pytest.fixture
def envs(tmp_path: Path) -> Path:
    """Two environments of 4 MiB, 3 of which they share."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own").write_bytes(os.urandom(MIB))
    (tmp_path / "a" / "shared").write_bytes(os.urandom(3 * MIB))
    os.link(tmp_path / "a" / "shared", tmp_path / "b" / "shared")
    return tmp_path


def test_what_is_shared_counts_once(envs: Path) -> None:
    taken = disk_use.of(envs)
    assert taken is not None
    assert 5 * MIB <= taken < 5.2 * MIB


def test_it_is_measured_anew_only_when_an_environment_comes_or_goes(envs: Path) -> None:
    first = disk_use.of(envs)
    (envs / disk_use.FILE).write_text("123")
    assert disk_use.of(envs) == 123
    (envs / "c").mkdir()
    later = (envs / disk_use.FILE).stat().st_mtime_ns + 10**9  # building one takes longer than a tick of the clock
    os.utime(envs, ns=(later, later))
    assert disk_use.of(envs) == pytest.approx(first, abs=MIB / 10)


def test_damage_to_what_is_remembered_is_mended(envs: Path) -> None:
    first = disk_use.of(envs)
    (envs / disk_use.FILE).write_text("much")
    assert disk_use.of(envs) == pytest.approx(first, abs=MIB / 10)


def test_where_it_cannot_be_told_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk_use.of(tmp_path / "none") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert disk_use.of(tmp_path) is None
