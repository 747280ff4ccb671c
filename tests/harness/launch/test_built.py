"""Environments that are built where they are used: only in a folder that is the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments.build import Order
from harness.environments.request import Request
from harness.launch import built


def order(root: Path) -> Order:
    return Order(Request("torch", "2.13.0"), (), "0" * 16, root)


@pytest.mark.parametrize("kind", ["others may write", "a link", "a file"])
def test_a_folder_that_others_may_have_filled_is_not_used(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "envs"
    if kind == "a link":
        (tmp_path / "theirs").mkdir()
        root.symlink_to(tmp_path / "theirs")
    elif kind == "a file":
        root.touch()
    else:
        root.mkdir()
        root.chmod(0o777)
    with pytest.raises(OSError, match=r"of this user's own|exists"):
        built.make(order(root))


def test_it_is_below_the_folder_of_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built.tempfile, "gettempdir", lambda: str(tmp_path))
    assert built.place().parent == tmp_path
