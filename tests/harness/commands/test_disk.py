"""What is said of environments that have grown large."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.commands.disk import LARGE, warn_if_large
from harness.environments import disk_use


@pytest.mark.parametrize(("taken", "lines"), [(0, 0), (LARGE, 0), (LARGE + 10**9, 1)])
def test_only_what_is_large_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: int, lines: int) -> None:
    (tmp_path / disk_use.FILE).write_text(str(taken))
    warn_if_large(tmp_path)
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", lines)


def test_the_line_says_how_much_and_how_to_prune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_ENVS", str(tmp_path))
    (tmp_path / disk_use.FILE).write_text("23400000000")
    warn_if_large(None)
    said = capsys.readouterr().err
    assert said.startswith(f"lockstep: the environments in {tmp_path} take 23 GB; `lockstep env prune --older-than 30`")
    assert "uv cache prune --ci" in said
    warn_if_large(tmp_path)
    assert f"`lockstep env prune --older-than 30 --envs {tmp_path}`" in capsys.readouterr().err


def test_without_environments_nothing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warn_if_large(tmp_path / "none")
    assert capsys.readouterr().err == ""
