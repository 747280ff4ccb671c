"""`lockstep bisect --on slurm` and `lockstep nightly --on slurm`, on a real Slurm of this machine."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.fuzzing import record as fuzz
from harness.nightly import record as nights
from tests.frameworks import test_nightly
from tests.frameworks.command import wait_until
from tests.frameworks.test_bisect import DROPPED, SERIES, Place, changes
from tests.frameworks.test_nightly import SMALL
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.exhaustive, pytest.mark.frameworks, pytest.mark.timeout(1800)]

ON = ("--on", "slurm", "--nodes", "2")


def test_a_bisection_goes_on_where_it_was_interrupted(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    place = Place(tmp_path, environments)
    process = place.start("bisect", *SERIES, *ON, "--out", "out")
    assert wait_until(lambda: len(slurm.jobs()) > 1, 300), "two releases at once"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert slurm.quiet()
    found = place.bisect(*SERIES, *ON)
    assert changes(found) == [("0.15.1", "0.15.2", [], [DROPPED])]
    assert list(tmp_path.glob("out/runs/*/spools/deepspeed-*/taken/*")), "jobs took its cells"


def test_a_night_finds_its_canary_in_jobs(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    place = test_nightly.Place(tmp_path, environments)
    status, printed = place.night(*SMALL, *ON)
    assert status == 0, printed
    (night,) = place.nights
    assert night.canaries[0].found
    folder = place.home / nights.NIGHTS / night.name
    assert list(folder.glob("spools/torch-*/taken/*"))
    assert list(folder.glob("canaries/spools/deepspeed-*/taken/*"))


def test_a_fault_is_found_by_scenarios_that_are_drawn(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    place = Place(tmp_path, environments)
    asked = ("--framework", "torch", "--fault", "keep-first", "--minutes", "1", "--out", "out")
    ended = place.run("fuzz", *asked, *ON)
    assert ended.status == 1, ended.said
    assert fuzz.read(tmp_path / "out").causes
