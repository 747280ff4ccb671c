"""Stock installs of a real framework: the first release of OpenRLHF that there is a recipe for, and many before it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.stock import record
from reports import stock
from tests.frameworks.command import COMMAND

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

OPTIONS = ["--framework", "openrlhf", "--since", "2025-02-20", "--until", "2025-02-28", "--scenario", "sft-ragged"]


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
    assert (str(found.first), str(found.last), found.days) == ("2023-03-02", "2025-02-28", 730)
    last = found.frameworks[0].releases[-1]
    assert (last.version, str(last.released), last.days) == ("0.6.0", "2025-02-28", 1)
    assert last.underneath == {"transformers": "4.48.3", "accelerate": "1.4.0", "deepspeed": "0.16.3"}
    assert last.outcomes["sft-ragged"].kinds == ("mean-of-means: micro-batch",)
    assert found.frameworks[0].days(["sft-ragged"]) == {"no release": 502, "not measured": 227, "wrong": 1}
    assert "openrlhf: silently wrong on 1 of 730 days (no release on 502, not measured on 227)" in done.stdout
    assert "| 0.6.0 | 2025-02-28 | 1 | 4.48.3 | 1.4.0 | 0.16.3 | **mean-of-means: micro-batch** |" in page.read_text()

    again = told(tmp_path / "stock", environments)  # nothing is left to do
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "sft-ragged" not in again.stderr
