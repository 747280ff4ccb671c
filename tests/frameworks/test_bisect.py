"""`lockstep bisect` on real releases, packages and commits: what is found, what it costs, and going on where it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.bisection import record, search
from harness.bisection.record import Bisection
from harness.environments.build import ensure
from harness.environments.request import parse
from tests.frameworks.command import COMMAND

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

OFFLOAD = "sft-ragged-zero2-offload"
DROPPED = "dropped-micro-batches: 1, 2 of 4"
BY_MICRO_BATCH, BY_MICRO_STEP = "mean-of-means: micro-batch", "mean-of-means: micro-step"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    printed: str
    said: str


@dataclass(frozen=True)
class Place:
    """Where commands are started from, with a history of their own."""

    folder: Path
    environments: Path

    @property
    def variables(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "LOCKSTEP_HISTORY": str(self.folder / "history.sqlite"),
            "LOCKSTEP_ENVS": str(self.environments),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(COMMAND), *arguments],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Ended:
        process = self.start(*arguments)
        printed, said = process.communicate(timeout=1500)
        return Ended(process.returncode, printed, said)

    def bisect(self, *arguments: str) -> Bisection:
        """Bisect to the end, into the folder `out`."""
        ended = self.run("bisect", *arguments, "--out", "out")
        assert ended.status == 0, ended.said
        return record.read(self.folder / "out")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Place:
    return Place(tmp_path_factory.mktemp("bisect"), environments)


def changes(bisection: Bisection) -> list[tuple[str, str, list[str], list[str]]]:
    return [(b.before, b.after, b.causes_before, b.causes_after) for b in bisection.boundaries]


# ---- releases


SERIES = ("deepspeed", "--scenario", OFFLOAD, "--from", "0.15.0", "--to", "0.15.4")


@pytest.fixture(scope="module")
def stopped(place: Place) -> Ended:
    """A bisection that is told to end after its first measurement."""
    process = place.start("bisect", *SERIES, "--out", "series")
    assert process.stderr is not None
    for line in process.stderr:
        if " measured, " in line:
            break
    process.send_signal(signal.SIGTERM)
    printed, said = process.communicate(timeout=60)
    return Ended(process.returncode, printed, said)


@pytest.fixture(scope="module")
def series(place: Place, stopped: Ended) -> Ended:
    """The same command once more."""
    return place.run("bisect", *SERIES, "--out", "series")


def test_a_stopped_bisection_says_how_to_go_on_and_leaves_what_it_has(stopped: Ended, place: Place) -> None:
    assert stopped.status == 130
    assert stopped.said.strip().splitlines()[-1] == (
        "lockstep: interrupted; what was measured is kept, and the same command goes on from there"
    )
    kept = json.loads(place.run("history", "deepspeed", "--json").printed)
    assert [m["scenario"] for m in kept] == [OFFLOAD] * len(kept)
    assert kept, "what was measured outlives the process"


def test_it_goes_on_where_it_was_and_finds_the_release(series: Ended, place: Place) -> None:
    assert series.status == 0, series.said
    found = record.read(place.folder / "series")
    assert changes(found) == [("0.15.1", "0.15.2", [], [DROPPED])]
    assert any(point.kept for point in found.measured)
    assert found.complete
    assert {p.label for p in [*found.measured, *found.inferred]} == set(found.order)
    assert len(found.measured) <= search.allowance(len(found.order), 1)
    assert all(p.times == 2 for p in found.measured if p.label in ("0.15.0", "0.15.1", "0.15.2", "0.15.4"))
    assert found.seconds > 0


def test_its_words_name_the_release_the_day_and_the_remedy(series: Ended, place: Place) -> None:
    for text in (series.printed, (place.folder / "series/bisect.md").read_text()):
        for said in ("0.15.1 (2024-09-05)", "0.15.2 (2024-10-09)", DROPPED, "deepspeed>=0.19.8", "pull/6550"):
            assert said in " ".join(text.split())
    issue = (place.folder / "series/issue.md").read_text()
    assert f"lockstep run --framework deepspeed==0.15.2 --scenario {OFFLOAD}" in issue
    assert "https://github.com/deepspeedai/DeepSpeed/compare/v0.15.1...v0.15.2" in issue
    assert "rank 0: 1.0000 0.0000 0.0000 1.0000" in issue


def test_nothing_is_measured_twice_over(series: Ended, place: Place) -> None:
    begun = time.monotonic()
    ended = place.run("bisect", *SERIES, "--out", "again", "--json")
    again = Bisection.model_validate_json(ended.printed)
    assert all(point.kept for point in again.measured)
    assert changes(again) == changes(record.read(place.folder / "series"))
    assert not (place.folder / "again/runs").exists()
    assert "starting" not in ended.said
    assert time.monotonic() - begun < 60


def test_the_history_has_it(series: Ended, place: Place) -> None:
    ended = place.run("history", "deepspeed", "--json")
    kept = [(m["version"], m["verdict"], m["causes"]) for m in json.loads(ended.printed)]
    assert kept.count(("0.15.2", "fail", [DROPPED])) == 2
    assert kept.count(("0.15.1", "pass", [])) == 2


@pytest.mark.exhaustive
def test_the_fix_moves_the_boundary_away(place: Place, series: Ended) -> None:
    fixed = place.run(
        "bisect", "deepspeed", "--scenario", OFFLOAD, "--from", "0.15.2", "--to", "0.15.3", "--patch",
        "deepspeed-offload", "--out", "fixed",
    )  # fmt: skip
    assert fixed.status == 0, fixed.said
    found = record.read(place.folder / "fixed")
    assert not found.boundaries
    assert {p.verdict for p in found.measured} == {"pass"}


# ---- a package underneath


@pytest.mark.exhaustive
def test_the_package_underneath_is_found_out(place: Place) -> None:
    arguments = ("--vary", "deepspeed", "--from", "0.18.9", "--to", "0.19.0", "--scenario", OFFLOAD)
    found = place.bisect("trl==1.16.0", *arguments)
    assert changes(found) == [("0.18.9", "0.19.0", [DROPPED], [])]
    assert found.of == "deepspeed"
    assert found.boundaries[0].compare == "https://github.com/deepspeedai/DeepSpeed/compare/v0.18.9...v0.19.0"


# ---- commits


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), "-c", "user.name=tester", "-c", "user.email=tester@example.org"]
    return subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout.strip()


PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "openrlhf"
version = "{version}"

[tool.setuptools.packages.find]
include = ["openrlhf*"]
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Path:
    """Three releases of OpenRLHF as commits of a repository, with one between them that does not install."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet")
    for version in ("0.10.2", "0.10.3", "0.10.4"):
        (source,) = ensure(parse(f"openrlhf=={version}"), environments, print).folder.glob("venv/lib/*/site-packages")
        shutil.rmtree(folder / "openrlhf", ignore_errors=True)
        shutil.copytree(source / "openrlhf", folder / "openrlhf", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "pyproject.toml").write_text(PROJECT.format(version=version))
        # As DeepSpeed's does between releases, without declaring it.
        (folder / "setup.py").write_text("import torch\nfrom setuptools import setup\n\nsetup()\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", f"release {version}")
        git(folder, "tag", f"v{version}")
        if version == "0.10.3":
            (folder / "pyproject.toml").write_text("this installs nowhere")
            git(folder, "commit", "--quiet", "--all", "--message", "break the build")
    return folder


def test_commits_are_bisected_over_one_environment(repository: Path, place: Place) -> None:
    names = git(repository, "log", "--reverse", "--format=%H").splitlines()
    first, second, broken, last = (name[:12] for name in names)
    arguments = ("openrlhf==0.10.4", "--repo", str(repository), "--scenario", "sft-ragged", "--good", "v0.10.2")
    found = place.bisect(*arguments)
    assert changes(found) == [(first, second, [BY_MICRO_BATCH], [BY_MICRO_STEP]), (second, last, [BY_MICRO_STEP], [])]
    assert found.boundaries[1].between == [broken]
    assert [p.label for p in found.uninstallable] == [broken]
    assert "installer failed" in (found.uninstallable[0].reason or "")
    versions = {p.label: p.version for p in found.measured}
    assert versions == {first: f"0.10.2+{first}", second: f"0.10.3+{second}", last: f"0.10.4+{last}"}


def test_git_bisect_run_finds_the_commit_that_mends_it(repository: Path, place: Place, tmp_path: Path) -> None:
    """From the newest, right, back to the oldest, wrong: the one that does not install is skipped."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    git(clone, "bisect", "start", "--term-new=right", "--term-old=wrong", "HEAD", "v0.10.2")
    # git's `run` takes 0 for old and 1 for new; here the old one is wrong.
    script = tmp_path / "judge.sh"
    script.write_text(
        "#!/bin/sh\n"
        f"{COMMAND} bisect openrlhf==0.10.4 --repo . --step --scenario sft-ragged --out {tmp_path / 'out'}\n"
        "status=$?; case $status in 0) exit 1;; 1) exit 0;; *) exit $status;; esac\n"
    )
    script.chmod(0o755)
    said = subprocess.run(
        ["git", "-C", str(clone), "bisect", "run", str(script)],
        env=place.variables, check=False, capture_output=True, text=True,
    )  # fmt: skip
    log = git(clone, "bisect", "log")
    assert "skip" in log, said.stdout + said.stderr
    broken, last = git(repository, "log", "-2", "--format=%H").splitlines()[::-1]
    assert f"# possible first right commit: [{broken}]" in log
    assert f"# possible first right commit: [{last}]" in log


# ---- dates


@pytest.mark.exhaustive
def test_between_two_dates_the_package_is_found(place: Place) -> None:
    """transformers 4.54.0, of 2025-07-25, averages over all ranks; TRL stays what it is."""
    days = ("--by-date", "--from", "2025-07-20", "--to", "2025-07-30")
    found = place.bisect("trl==0.18.1", *days, "--scenario", "sft-ragged")
    assert [b.causes_before for b in found.boundaries] == [["mean-of-means: rank"]]
    assert [b.verdict_after for b in found.boundaries] == ["pass"]
    (boundary,) = found.boundaries
    (guilty,) = boundary.guilty
    assert guilty.startswith("transformers 4.53.")
    assert guilty.endswith("-> 4.54.1")
    assert boundary.alone is not None
    assert boundary.alone.verdict == "pass"
    pins = (place.folder / "out/pins/alone-0.txt").read_text()
    assert "transformers==4.54.1" in pins
    assert "trl==0.18.1" in pins
