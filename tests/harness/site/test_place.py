"""Which file is read, and that a file which somebody else may have left is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.site import place
from harness.site.place import BadSite


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(place.VARIABLE, raising=False)
    return tmp_path


def test_the_one_given_then_the_variable_s_then_that_of_the_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.place(None) is None
    (here / place.NAME).touch()
    assert place.place(None) == Path(place.NAME)
    monkeypatch.setenv(place.VARIABLE, "/shared/site.toml")
    assert place.place(None) == Path("/shared/site.toml")
    assert place.place(Path("own.toml")) == Path("own.toml")


def test_what_anybody_can_write_must_be_named(here: Path) -> None:
    path = here / place.NAME
    path.touch()
    path.chmod(0o666)
    with pytest.raises(BadSite, match="name it with --site"):
        place.place(None)
    assert place.place(path) == path


def test_what_another_user_has_left_must_be_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / place.NAME).touch()
    if os.geteuid() == 0:
        os.chown(here / place.NAME, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(BadSite, match="another user's"):
        place.place(None)


def test_a_loop_is_one_line(here: Path) -> None:
    (here / place.NAME).symlink_to(place.NAME)
    with pytest.raises(BadSite, match="cannot be read"):
        place.place(None)
