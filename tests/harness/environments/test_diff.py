"""Diffs, by the real git, on a folder that looks like an environment's site-packages."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.environments import diff

TEXT = "first\nsecond\nthird\n"

CHANGE = """--- {a}pack/core.py
+++ {b}pack/core.py
@@ -1,3 +1,3 @@
 first
-second
+{new}
 third
"""


def changed(a: str = "a/", b: str = "b/", new: str = "changed") -> bytes:
    return CHANGE.format(a=a, b=b, new=new).encode()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two packages, the second of one file, within a git repository, where git would skip them."""
    folder = tmp_path / "env" / "site-packages"
    for package, file in (("pack", "pack/core.py"), ("lone", "lone.py")):
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{file},,\n../../../bin/{package}.py,,\n{info.name}/METADATA,,\n")
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(TEXT)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return folder


@pytest.mark.parametrize(("a", "b"), [("a/", "b/"), ("", ""), ("a/src/", "b/src/"), ("a/x/y/", "b/x/y/")])
def test_names_may_have_folders_before_the_package(site: Path, a: str, b: str) -> None:
    diff.apply(changed(a, b), site, ["pack"])
    assert (site / "pack/core.py").read_text() == TEXT.replace("second", "changed")


def test_other_links_to_a_file_keep_its_content(site: Path, tmp_path: Path) -> None:
    os.link(site / "pack/core.py", tmp_path / "cache.py")
    diff.apply(changed(), site, ["pack"])
    assert (tmp_path / "cache.py").read_text() == TEXT


def test_files_come_and_go(site: Path) -> None:
    text = (
        b"--- /dev/null\n+++ b/pack/new.py\n@@ -0,0 +1 @@\n+new\n"
        b"--- a/pack/core.py\n+++ /dev/null\n@@ -1,3 +0,0 @@\n-first\n-second\n-third\n"
    )
    assert diff.read(text) == ("pack/new.py", "pack/core.py")
    diff.apply(text, site, ["pack"])
    assert [file.name for file in (site / "pack").iterdir()] == ["new.py"]


def test_a_module_of_one_file(site: Path) -> None:
    diff.apply(changed().replace(b"pack/core.py", b"lone.py"), site, ["pack", "lone"])
    assert "changed" in (site / "lone.py").read_text()


BINARY = b"""diff --git a/pack/data.bin b/pack/data.bin
new file mode 100644
index 0000000000000000000000000000000000000000..20b5be91886d0b6f26dc98a225c0dac05fe2c86e
GIT binary patch
literal 3
KcmYdfNCE%>hycU@

literal 0
HcmV?d00001

"""


def made(mode: str, content: str) -> bytes:
    """A diff that makes pack/new."""
    head = f"diff --git a/pack/new b/pack/new\nnew file mode {mode}\nindex 0000000..1de5659\n--- /dev/null\n"
    return f"{head}+++ b/pack/new\n@@ -0,0 +1 @@\n+{content}\n\\ No newline at end of file\n".encode()


OUTSIDE = b"--- /dev/null\n+++ b/%s\n@@ -0,0 +1 @@\n+new\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed() + OUTSIDE % b"tests/test_core.py", "it touches tests/test_core.py, which is no file of pack"),
        (changed().replace(b"pack/core", b"lone"), "which is no file of pack"),
        (OUTSIDE % b"../outside.py", "which is no file of pack"),
        (OUTSIDE % b"pack/../../outside.py", "invalid path"),
        (changed().replace(b"second", b"2nd"), "patch does not apply"),
        (changed().replace(b"core.py", b"gone.py"), "No such file"),
        (changed(new="second"), "it changes nothing"),
        (b"diff --git a/pack/core.py b/pack/core.py\nold mode 100644\nnew mode 100755\n", "it changes nothing"),
        (b"diff --git a/lone.py b/pack/lone.py\nrename from lone.py\nrename to pack/lone.py\n", "--no-renames"),
        (made("120000", "/etc/passwd"), "of mode 120000, as links"),
        (made("160000", f"Subproject commit {'0' * 40}"), "of mode 160000"),
        (made("104755", "x"), "of mode 104755"),
        (b"diff --git a/pack/core.py b/pack/core.py\nold mode 100644\nnew mode 120000\n", "of mode 120000"),
        (changed() + made("120000", "core.py"), "of mode 120000"),
        (BINARY, "it changes pack/data.bin as a binary file"),
        ((OUTSIDE % b"x").replace(b"b/x", b"/etc/outside.py"), "etc/outside.py, which is no file of pack"),
        (changed()[:-20], "corrupt patch"),
        (b"", "No valid patches"),
        (b"just words\n", "No valid patches"),
    ],
)
def test_what_is_refused_leaves_every_file_alone(site: Path, content: bytes, said: str) -> None:
    before = snapshot(site.parent)
    with pytest.raises(diff.BadDiff) as refused:
        diff.apply(content, site, ["pack"])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert snapshot(site.parent) == before


def test_a_new_file_may_be_executable(site: Path) -> None:
    diff.apply(made("100755", "x"), site, ["pack"])
    assert os.access(site / "pack/new", os.X_OK)


@pytest.mark.parametrize("linked", ["pack/core.py", "pack"])
def test_nothing_is_changed_behind_a_link(site: Path, tmp_path: Path, linked: str) -> None:
    """Such as an installed package might hold."""
    (site / linked).rename(tmp_path / "elsewhere")
    (site / linked).symlink_to(tmp_path / "elsewhere")
    before = snapshot(tmp_path)
    with pytest.raises(diff.BadDiff, match=r"pack/core\.py is, or lies behind, a symbolic link"):
        diff.apply(changed(), site, ["pack"])
    assert snapshot(tmp_path) == before


def test_a_link_is_refused_when_the_diff_is_read(site: Path) -> None:
    with pytest.raises(diff.BadDiff, match="only ordinary files can be patched"):
        diff.read(made("120000", "/etc/passwd"))


def test_without_git(site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(diff.BadDiff, match="git is not on PATH"):
        diff.apply(changed(), site, ["pack"])


def test_git_settings_of_the_user_do_not_matter(site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[apply]\n\twhitespace = error-all\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    diff.apply(changed(new="trailing "), site, ["pack"])
    assert "trailing \n" in (site / "pack/core.py").read_text()


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
