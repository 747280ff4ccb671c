"""More ranks than two: every newest framework on four and on eight, and shards that not all ranks share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.proofs import OTHERWISE, words

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

SCENARIOS = (
    "sft-ragged", "sft-ragged-batch2", "sft-ragged-packing", "sft-ragged-zero2", "sft-ragged-zero2-offload",
    "sft-ragged-zero3", "sft-ragged-fsdp",
)  # fmt: skip
HYBRID = {
    "secondary": 'base = "sft-ragged-zero3"\n[sharding]\nsecondary = 2\n',
    "secondary-offload": 'base = "sft-ragged-zero3-offload"\n[sharding]\nsecondary = 2\n',
    "secondary-bf16": 'base = "sft-ragged-zero3"\n[precision]\ncompute = "bf16"\n[sharding]\nsecondary = 2\n',
    "replicas": 'base = "sft-ragged-fsdp"\n[sharding]\nreplicas = 2\n',
    "replicas-fsdp1": 'base = "sft-ragged-fsdp"\n[sharding]\nstrategy = "fsdp1"\nreplicas = 2\n',
}
"""The first line, the name and the ranks are put in."""
BY_ZERO_3 = ("deepspeed", "trl", "ms-swift", "llamafactory")
EXPRESSED = {
    "secondary": (*BY_ZERO_3, "fsdp2"),
    "secondary-offload": BY_ZERO_3,
    "secondary-bf16": (*BY_ZERO_3, "fsdp2"),
    "replicas": ("fsdp2", "trl", "ms-swift", "verl"),
    "replicas-fsdp1": ("fsdp2", "trl", "ms-swift", "llamafactory", "verl"),
}
"""By whom; the others say that they are not."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("ranks", [4, 8])
def test_every_framework_comes_to_the_verdicts_that_it_has_on_two(
    tmp_path: Path, environments: Path, ranks: int
) -> None:
    run = command.run(
        tmp_path, environments, *words("--scenario", SCENARIOS), "--ranks", str(ranks), "--jobs", "1", timeout=3000
    )
    assert {c.name: c.verdict for c in run.verdict.cells} == {
        c.name: OTHERWISE[c.framework].get(c.scenario, "pass") for c in run.verdict.cells
    }
    assert len(run.verdict.cells) == len(OTHERWISE) * len(SCENARIOS)


def test_shards_that_not_all_ranks_share(tmp_path: Path, environments: Path) -> None:
    run = hybrid(tmp_path, environments, ["deepspeed", "fsdp2"], ["secondary", "replicas"])
    found = {(c.framework, c.scenario): c.verdict for c in run.verdict.cells if c.verdict != "unsupported"}
    assert found == {
        ("deepspeed", "own-secondary"): "pass",
        ("fsdp2", "own-secondary"): "pass",
        ("fsdp2", "own-replicas"): "pass",
    }


@pytest.mark.exhaustive
def test_whoever_shares_shards_so_is_right(tmp_path: Path, environments: Path) -> None:
    frameworks = sorted({name for names in EXPRESSED.values() for name in names})
    run = hybrid(tmp_path, environments, frameworks, HYBRID)
    expected = {
        (name, f"own-{scenario}"): "pass" if name in EXPRESSED[scenario] else "unsupported"
        for name in frameworks
        for scenario in HYBRID
    }
    assert {(cell.framework, cell.scenario): cell.verdict for cell in run.verdict.cells} == expected


def hybrid(folder: Path, environments: Path, frameworks: list[str], names: Iterable[str]) -> Run:
    files = []
    for name in names:
        file = folder / f"{name}.toml"
        file.write_text(f'name = "own-{name}"\n{HYBRID[name]}[window]\nranks = 4\n')
        files.append(str(file))
    return command.run(
        folder, environments, *words("--framework", frameworks), *words("--scenario", files), "--jobs", "1"
    )
