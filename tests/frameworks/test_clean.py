"""Right releases stay clean on another seed than 0 too; docs/floors.md has the same over 20 of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import scenarios
from tests.frameworks import command

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]

SEEDS = (19,)
WRONG = {("deepspeed", "0.19.8", "sft-ragged-bf16")}
"""A real divergence: see test_deepspeed.py."""


def test_other_seeds_are_clean(tmp_path: Path, environments: Path) -> None:
    releases = ("torch", "deepspeed==0.15.1", "deepspeed==0.19.8")
    chosen = [word for name in releases for word in ("--framework", name)]
    seeds = [word for seed in SEEDS for word in ("--scenario", f"*@{seed}")]
    run = command.run(tmp_path, environments, *chosen, *seeds, timeout=1800.0)
    cells = [c for c in run.verdict.cells if (c.framework, c.version, c.scenario) not in WRONG]
    assert len(cells) == len(SEEDS) * (len(releases) * len(scenarios.CATALOGUE) - len(WRONG))
    assert [(c.name, c.verdict, c.findings) for c in cells if c.verdict not in ("pass", "unsupported")] == []
