"""An edited checkout is another harness; one that only shows outcomes differently is the same."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.history import identity
from harness.version import own_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "judge.py",
        "accepted.toml",
        "checks/weights.py",
        "commands/run.py",
        "bisection/search.py",
        "notes.txt",
    ):
        path = tmp_path / "harness" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return tmp_path / "harness"


@pytest.mark.parametrize("name", ["judge.py", "accepted.toml", "checks/weights.py", "checks/new.py"])
def test_what_decides_an_outcome_counts(root: Path, name: str) -> None:
    before = identity.digest((root,))
    (root / name).write_text("edited = True\n")
    assert identity.digest((root,)) != before


@pytest.mark.parametrize("name", ["commands/run.py", "bisection/search.py", "notes.txt", "judge.pyc"])
def test_what_decides_none_does_not(root: Path, name: str) -> None:
    before = identity.digest((root,))
    (root / name).write_text("edited = True\n")
    os.utime(root / "judge.py", (0, 0))
    assert identity.digest((root,)) == before


def test_a_file_that_is_renamed_or_gone_counts(root: Path) -> None:
    before = identity.digest((root,))
    (root / "judge.py").rename(root / "judged.py")
    renamed = identity.digest((root,))
    (root / "judged.py").unlink()
    assert len({before, renamed, identity.digest((root,))}) == 3


def test_the_harness_has_one_and_it_takes_no_time() -> None:
    identity.identity.cache_clear()
    started = time.perf_counter()
    found = identity.identity()
    assert time.perf_counter() - started < 1.0
    assert found == f"{own_version()}+{identity.digest(identity.ROOTS)}"
    assert {root.name for root in identity.ROOTS} == {"adapters", "harness", "scenarios"}
