"""Relations on real releases: broken where a release is known to be wrong, kept where it is mended."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.relations.declared import RELATIONS
from tests.frameworks import command
from tests.frameworks.proofs import words

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

LONG = "compiled"
"""A relation whose cells take minutes."""
QUICK = tuple(relation.name for relation in RELATIONS if relation.name != LONG)


def _relate(out: Path, environments: Path, *options: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    """The exit status, and the pairs by relation and the name of the second side."""
    line = ["relate", "--out", str(out), "--envs", str(environments), "--jobs", "1", *options]
    done = subprocess.run([command.COMMAND, *line], capture_output=True, text=True, check=False)
    assert (out / "relations.json").exists(), done.stderr
    assert "side by side" in done.stdout
    told = json.loads((out / "relations.json").read_text())
    return done.returncode, {(one["relation"], one["sides"][1]["scenario"]): one for one in told["pairs"]}


OFFLOAD = ("--relation", "offload", "--scenario", "sft-ragged-zero2")


def test_deepspeeds_offload_changes_the_update_until_it_is_mended(tmp_path: Path, environments: Path) -> None:
    status, pairs = _relate(tmp_path / "old", environments, "--framework", "deepspeed==0.18.9", *OFFLOAD)
    (pair,) = pairs.values()
    assert (status, pair["state"], pair["parted"]) == (1, "broken", 0)
    assert "micro-batches 1 and 2 of 4 never reached the optimizer" in pair["sides"][1]["causes"][0]
    page = (tmp_path / "old" / "relations.md").read_text()
    assert "| with | sharding.offload_optimizer = false | sharding.offload_optimizer = true |" in page
    status, pairs = _relate(tmp_path / "new", environments, "--framework", "deepspeed==0.19.8", *OFFLOAD)
    (pair,) = pairs.values()
    assert (status, pair["state"]) == (0, "holds")


@pytest.mark.exhaustive
def test_openrlhfs_means_depend_on_the_split(tmp_path: Path, environments: Path) -> None:
    options = ("--framework", "openrlhf==0.10.2", "--relation", "split-otherwise")
    status, pairs = _relate(tmp_path / "out", environments, *options)
    assert status == 1
    states = {name: pair["state"] for (_, name), pair in pairs.items()}
    assert states == {
        "sft-ragged.ranks-1.accumulation-8": "holds",
        "sft-ragged.ranks-1.micro_batch_size-2": "broken",
        "sft-ragged.micro_batch_size-4.accumulation-1": "broken",
    }


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("framework", "broken"),
    [
        *((name, []) for name in ("torch", "ddp", "fsdp2", "deepspeed", "trl", "ms-swift", "openrlhf", "verl")),
        ("llamafactory", ["sft-ragged.zero2.offload_optimizer"]),  # by DeepSpeed 0.18.4, the newest that it asks for
    ],
)
def test_what_the_newest_release_keeps(framework: str, broken: list[str], tmp_path: Path, environments: Path) -> None:
    options = ("--framework", framework, *words("--relation", QUICK))
    status, pairs = _relate(tmp_path / "out", environments, *options)
    assert [name for (_, name), pair in pairs.items() if pair["state"] == "broken"] == broken
    assert "unknown" not in {pair["state"] for pair in pairs.values()}
    assert status == (1 if broken else 0)
    assert _relate(tmp_path / "out", environments, *options) == (status, pairs)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("relation", "fault"),
    [
        ("split-otherwise", "mean-of-micro-batches"),
        ("rows-permuted", "mean-of-micro-steps"),
        ("rows-doubled", "divided-by-accumulation"),
        ("packed", "attention-leaks"),
        ("checkpointing", "gradient-cut-by-checkpointing"),
        ("chunked-loss", "chunks-averaged"),
        ("resumed", "resume-forgets-moments"),
        (LONG, "graph-of-first-shape"),
    ],
)
def test_a_planted_fault_breaks_its_relation(relation: str, fault: str, tmp_path: Path, environments: Path) -> None:
    options = ("--framework", "torch", "--fault", fault, "--relation", relation)
    status, pairs = _relate(tmp_path / "out", environments, *options)
    assert status == 1
    assert "broken" in {pair["state"] for pair in pairs.values()}


@pytest.mark.exhaustive
def test_a_stage_that_keeps_the_last_micro_batch_alone_breaks_it(tmp_path: Path, environments: Path) -> None:
    _, pairs = _relate(tmp_path / "out", environments, "--framework", "deepspeed==0.18.2", "--relation", "stage")
    assert pairs["stage", "sft-ragged.zero2"]["state"] == "broken"
