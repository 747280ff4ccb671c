"""A run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.session.folder import BadFolder, RunFolder


def test_other_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BadFolder, match="something other than a lockstep run"):
        RunFolder.claim(tmp_path)
    with pytest.raises(BadFolder, match="is a file"):
        RunFolder.claim(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "precious"
