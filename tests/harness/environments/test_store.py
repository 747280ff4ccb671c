from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.environments import claims, store
from harness.environments.environment import EXTENSIONS, PYTHON, Record, write_record

HOLD = """
import sys
from pathlib import Path
from harness.environments import claims, store
claims.lease(Path(sys.argv[1]), store.use_claim(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


def make(root: Path, name: str, days: float = 0.0, size: int = 1000, whole: bool = True) -> Path:
    folder = root / name
    (folder / PYTHON).parent.mkdir(parents=True)
    (folder / EXTENSIONS).mkdir()
    (folder / PYTHON).symlink_to(sys.executable)
    (folder / "data").write_bytes(b"x" * size)
    if whole:
        record = Record(
            framework="toy",
            version="1",
            request="toy",
            python=str(PYTHON),
            platform="p",
            built="b",
            lock=(),
            lock_hash="",
        )
        write_record(record, folder)
    (folder / store.USED).touch()
    then = time.time() - days * 86400
    os.utime(folder / store.USED, (then, then))
    return folder


def names(root: Path) -> list[str]:
    return [each.name for each in store.stored(root)]


def test_no_folder_holds_nothing(root: Path) -> None:
    assert store.stored(root) == []
    assert store.prune(root).removed == ()
    assert not root.exists()


def test_the_last_used_comes_first(root: Path) -> None:
    for name, days in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        make(root, name, days)
    assert names(root) == ["b", "c", "a"]


def test_what_is_shared_frees_nothing(root: Path, tmp_path: Path) -> None:
    make(root, "a", size=5000)
    before = store.stored(root)[0]
    (tmp_path / "cache").hardlink_to(root / "a" / "data")
    after = store.stored(root)[0]
    assert after.size == before.size >= 5000
    assert before.frees - after.frees == 5000


@pytest.mark.parametrize("damage", ["no record", "half a record", "no interpreter", "interpreter gone"])
def test_a_damaged_environment_is_not_whole_and_not_taken(root: Path, damage: str) -> None:
    folder = make(root, "a", whole=damage != "no record")
    if damage == "half a record":
        (folder / "environment.json").write_text('{"framework": "to')
    if damage.endswith(("no interpreter", "gone")):
        (folder / PYTHON).unlink()
    if damage == "interpreter gone":
        (folder / PYTHON).symlink_to("/none/python")
    assert not store.stored(root)[0].whole
    assert store.take(root, "a") is None


def test_taking_marks_as_used(root: Path) -> None:
    make(root, "a", days=9)
    assert store.take(root, "a") is not None
    assert time.time() - store.stored(root)[0].used < 60


def test_prune_by_name_age_and_all(root: Path) -> None:
    for name, days in (("a", 10.0), ("b", 5.0), ("c", 1.0), ("d", 0.0)):
        make(root, name, days)
    assert [each.name for each in store.prune(root, ["c"]).removed] == ["c"]
    assert [each.name for each in store.prune(root, older_than_days=7).removed] == ["a"]
    assert sorted(each.name for each in store.prune(root).removed) == ["b", "d"]
    assert names(root) == []


def test_only_names_that_are_there_can_be_pruned(root: Path) -> None:
    make(root, "a")
    for name in ("b", "../a", "", claims.FOLDER):
        with pytest.raises(KeyError):
            store.prune(root, [name, "a"])
    assert names(root) == ["a"]


def test_prune_leaves_what_another_process_uses(root: Path) -> None:
    make(root, "a")
    command = [sys.executable, "-c", HOLD, str(root), "a"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "held\n"
        assert store.prune(root).busy == ("a",)
        user.kill()
    assert store.prune(root).busy == ()
    assert names(root) == []


def test_sweeping_spares_what_is_being_built(root: Path) -> None:
    being_built, left = store.building_folder(root, "toy-1-abc"), store.building_folder(root, "toy-2-abc")
    for folder in (being_built, left):
        folder.mkdir(parents=True)
    with claims.exclusive(root, store.build_claim("toy-1-abc")):
        store.sweep(root)
    assert (being_built.exists(), left.exists()) == (True, False)
    store.sweep(root)
    assert not being_built.exists()


def test_the_root_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(store.VARIABLE, raising=False)
    assert store.default_root() == Path(".envs")
    monkeypatch.setenv(store.VARIABLE, "/elsewhere")
    assert store.default_root() == Path("/elsewhere")
