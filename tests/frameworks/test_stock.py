"""Stock installs of a real framework: one release of OpenRLHF that there is a recipe for, and many before it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.stock import record
from reports import stock
from tests.frameworks.command import COMMAND

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

OPTIONS = ["--framework", "openrlhf", "--since", "2026-03-30", "--until", "2026-04-03", "--scenario", "sft-ragged"]


def told(home: Path, environments: Path, *more: str) -> subprocess.CompletedProcess[str]:
    given = [*OPTIONS, "--dir", str(home), "--envs", str(environments), *more]
    return subprocess.run(
        [str(COMMAND), "stock", *given], cwd=home.parent, env=os.environ, capture_output=True, text=True, check=False
    )


def test_days_on_which_a_stock_install_was_wrong(tmp_path: Path, environments: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{stock.BEGIN}\n{stock.END}\n")
    done = told(tmp_path / "stock", environments, "--write", str(page))
    assert done.returncode == 0, done.stderr
    found = record.read(tmp_path / "stock" / record.FILE)
    assert (str(found.first), str(found.last), found.days) == ("2024-04-04", "2026-04-03", 730)
    last = found.frameworks[0].releases[-1]
    assert (last.version, str(last.released), last.days) == ("0.9.9", "2026-03-30", 5)
    assert last.underneath == {"transformers": "5.3.0", "accelerate": "1.13.0", "deepspeed": "0.18.8"}
    assert last.outcomes["sft-ragged"].kinds == ("mean-of-means: micro-batch",)
    assert found.frameworks[0].days(["sft-ragged"]) == {"no release": 103, "not measured": 617, "wrong": 10}
    assert "openrlhf: silently wrong on 10 of 730 days (no release on 103, not measured on 617)" in done.stdout
    assert "| 0.9.9 | 2026-03-30 | 5 | 5.3.0 | 1.13.0 | 0.18.8 | **mean-of-means: micro-batch** |" in page.read_text()

    again = told(tmp_path / "stock", environments)  # nothing is left to do
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "sft-ragged" not in again.stderr
