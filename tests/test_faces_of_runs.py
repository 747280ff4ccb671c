"""A framework that prints and raises what `test_faces` has in files: no face shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_faces import TEXTS, hidden, live, said, shown_by

PATCH = '''"""{doc}"""
import os, sys


def apply():
    os.write(1, {text}.encode(errors="replace"))
    os.write(2, {text}.encode(errors="replace"))
    raise RuntimeError({text})
'''


@pytest.mark.slow
def test_a_framework_that_raises_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reference in this very interpreter, with a patch that prints and raises it."""
    import sys

    text = TEXTS["in a file"]
    patch = tmp_path / "evil.py"
    patch.write_text(PATCH.format(doc=text.encode("unicode-escape").decode().replace('"', ""), text=ascii(text)))
    monkeypatch.chdir(tmp_path)
    told = said(
        capfd,
        "run",
        *("--framework", f"torch@{sys.executable}", "--patch", str(patch), "--scenario", "sft-equal", "--out", "run"),
    )
    assert "1 unknown" in told
    assert "RuntimeError" in told
    assert not hidden(told)
    for line in (("explain", "run"), ("judge", "run"), ("report", "run", "--format", "markdown")):
        assert not hidden(said(capfd, *line))
    assert not live(said(capfd, "report", "run", "--format", "markdown"))
    for page in (tmp_path / "run" / "html").rglob("*.html"):
        assert not hidden(shown_by(page.read_text(encoding="utf-8")))
