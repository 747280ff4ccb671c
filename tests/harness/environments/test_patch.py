"""What may be given as a patch, and what an environment becomes by one."""

from __future__ import annotations

import ast
import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from adapters import contract
from harness.environments import patch, store
from harness.environments.build import BuildFailed, Environment, ensure
from harness.environments.request import BadRequest, parse

PYTHON = '"""It mends the toy.\n\nAt length.\n"""\n\n\ndef apply() -> None:\n    pass\n'
DIFF = "--- a/toy.py\n+++ b/toy.py\n@@ -1 +1 @@\n-version = '{old}'\n+version = 'patched'\n"


class House(Protocol):
    folder: Path


def written(folder: Path, name: str, content: str | bytes) -> str:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def build(text: str, root: Path, given: str | None = None) -> Environment:
    request = parse(text)
    return ensure(replace(request, patches=(patch.load(given),)) if given else request, root, print)


def installed(environment: Environment) -> str:
    command = [environment.python, "-c", "import toy; print(toy.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def module(environment: Environment) -> Path:
    (found,) = environment.folder.glob("venv/lib/python*/site-packages/toy.py")
    return found


def test_a_patch_is_known_by_its_content(tmp_path: Path) -> None:
    read = patch.load(written(tmp_path, "mend.py", PYTHON))
    digest = hashlib.sha256(PYTHON.encode()).hexdigest()
    assert (read.sha256, read.name, read.mark) == (digest, f"patch-{digest[:12]}", f"patch.{digest[:8]}")
    assert (read.reason, read.is_python) == ("It mends the toy.", True)
    assert patch.load(written(tmp_path, "same.py", PYTHON)).mark == read.mark
    assert patch.load(written(tmp_path, "mend.py", PYTHON + "\n")).mark != read.mark


def test_what_processes_are_told_of_it(tmp_path: Path) -> None:
    both = [patch.load(written(tmp_path, name, text)) for name, text in (("mend.py", PYTHON), ("mend.diff", DIFF))]
    python, diff = contract.load_patches(patch.variables(both)[contract.PATCHES])
    assert (python.file, python.shim.reason) == (str(tmp_path / "mend.py"), "It mends the toy.")
    assert (diff.file, diff.shim.reason) == (None, "the diff mend.diff is applied to the installed files: toy.py")
    assert patch.variables([]) == {}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("mend.py", "def appply(): pass\n", "no function apply() at its top level"),
        ("mend.py", "def apply(:\n", "is no Python file"),
        ("mend.py", "class Mend:\n    def apply(self): pass\n", "no function apply()"),
        ("mend.py", "def apply(): pass\n\0", "binary"),
        ("mend.diff", PYTHON, "no unified diff that git can read (a Python file ends in .py)"),
        ("mend.diff", "", "no unified diff"),
        ("mend.diff", b"\x7fELF\0\0", "binary"),
        ("mend.diff", "x" * (patch.LARGEST + 1), "larger than 1 MiB"),
    ],
)
def test_what_is_no_patch(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(patch.BadPatch) as refused:
        patch.load(written(tmp_path, name, content))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(patch.BadPatch, match="No such file or directory; fixes that come with Lockstep: deepspeed-off"):
        patch.load("deepspeed-onload")
    with pytest.raises(patch.BadPatch, match="Is a directory"):
        patch.load(str(tmp_path))


@pytest.mark.parametrize("name", patch.fixes())
def test_shipped_fixes_stand_alone_and_say_what_they_are_for(name: str) -> None:
    read = patch.load(name)
    assert read.given == name
    assert " to " in read.reason.partition(":")[0]
    for part in ast.walk(ast.parse(read.content)):
        imported = [a.name for a in part.names] if isinstance(part, ast.Import) else []
        imported += [part.module or ""] if isinstance(part, ast.ImportFrom) else []
        assert not [m for m in imported if m.split(".")[0] in ("adapters", "harness", "scenarios", "reports")]


def test_a_python_file_changes_no_installed_file(house: House, root: Path, tmp_path: Path) -> None:
    plain = build("toy", root)
    patched = build("toy", root, written(tmp_path, "mend.py", PYTHON))
    assert patched.folder == plain.folder
    assert patched.lock_hash != plain.lock_hash
    assert patched.lock_hash == build("toy", root, str(tmp_path / "mend.py")).lock_hash
    assert {*patched.variables} - {*plain.variables} == {contract.PATCHES}


def test_a_diff_gets_an_environment_of_its_own(house: House, root: Path, tmp_path: Path) -> None:
    plain = build("toy", root)
    other = build("toy,toydep==1.1", root)
    cached = [file for file in (tmp_path / "cache").rglob("toy.py") if file.samefile(module(plain))]
    assert cached, "uv has not linked its cache here, so that nothing is shown"
    patched = build("toy", root, written(tmp_path, "mend.diff", DIFF.format(old="2.0")))
    assert installed(patched) == "patched"
    assert patched.lock_hash != plain.lock_hash
    assert patched.folder not in (plain.folder, other.folder)
    assert [installed(plain), installed(other)] == ["2.0", "2.0"]
    assert {file.read_text() for file in cached} == {"version = '2.0'\n"}
    assert installed(build("toy", root / "later")) == "2.0"


def test_a_diff_is_applied_once(house: House, root: Path, tmp_path: Path) -> None:
    given = written(tmp_path, "mend.diff", DIFF.format(old="2.0"))
    first = build("toy", root, given)
    assert build("toy", root, given) == first


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (DIFF.format(old="1.0"), "does not apply"),
        (DIFF.format(old="2.0").replace("toy.py", "toydep.py"), "it touches toydep.py, which is no file of toy"),
        (DIFF.format(old="2.0").replace("patched", "2.0"), "it changes nothing"),
    ],
)
def test_a_diff_that_does_not_fit(house: House, root: Path, tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(BuildFailed) as failed:
        build("toy", root, written(tmp_path, "mend.diff", content))
    assert said in str(failed.value)
    assert str(failed.value).startswith("toy 2.0: the diff ")
    assert store.stored(root) == []


def test_a_package_that_is_named_may_be_changed_too(house: House, root: Path, tmp_path: Path) -> None:
    text = DIFF.format(old="1.1").replace("toy.py", "toydep.py")
    patched = build("toy,toydep==1.1", root, written(tmp_path, "mend.diff", text))
    assert "patched" in module(patched).with_name("toydep.py").read_text()


def test_an_own_interpreter_is_not_changed(tmp_path: Path) -> None:
    own = parse("torch@/opt/python")
    with pytest.raises(BadRequest, match="a diff cannot change torch@/opt/python"):
        replace(own, patches=(patch.load(written(tmp_path, "mend.diff", DIFF)),)).resolved()
    assert replace(own, patches=(patch.load(written(tmp_path, "mend.py", PYTHON)),)).resolved().patches
