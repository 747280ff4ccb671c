"""The fixes that come with Lockstep: each turns its cells, and nothing else changes, to the bit."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

import scenarios
from harness.environments.build import Environment, ensure
from harness.environments.patch import load
from harness.environments.request import parse
from harness.traces import text_files
from harness.verdicts.verdict import CellRecord
from tests.frameworks import command, proofs
from tests.frameworks.command import Joined, Run, distance
from tests.frameworks.conftest import BUILDING
from tests.frameworks.proofs import words
from tests.frameworks.reading import causes, finding
from tests.frameworks.test_run import bits

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

OFFLOAD = "sft-ragged-zero2-offload"
TRL = "trl==1.16.0,deepspeed==0.18.9"
DEEPSPEED = ("deepspeed==0.15.2", "deepspeed==0.18.2", "deepspeed==0.18.9")
OPENRLHF = tuple(f"openrlhf=={version}" for version in proofs.OPENRLHF)
WITHOUT = [
    *((release, name) for release in DEEPSPEED for name in scenarios.CATALOGUE if name != OFFLOAD),
    *((TRL, name) for name in proofs.OF_TRAINERS if name != OFFLOAD),
]
NEAREST = ("sft-ragged", "sft-ragged-zero2", OFFLOAD)
"""Where a change for offload would show first: ZeRO 2, without it, and no ZeRO at all."""
TURNED = ("deepspeed==0.15.2", "deepspeed==0.18.9", "openrlhf==0.9.10")
"""The first release that has the bug, and those of the paper: the others are of their kind."""
AVERAGED = ("sft-ragged", "sft-equal", "sft-ragged-bf16", OFFLOAD)
"""One cause, none, one more that stays, and one of DeepSpeed's."""


def patched(release: str, fix: str) -> str:
    """What its cells stand under."""
    first, *rest = release.split(",")
    return ",".join([f"{first}+{load(fix).mark}", *rest])


def cell(run: Run | Joined, release: str, scenario: str) -> CellRecord:
    return run.cell(f"{release}/{scenario}")


def nearest(release: str, scenario: str) -> bool:
    return release in (*TURNED, TRL) and scenario in (NEAREST if release in DEEPSPEED else ("sft-ragged",))


def telling(release: str, scenario: str) -> bool:
    return release in TURNED and scenario in AVERAGED


def releases(request: pytest.FixtureRequest, every: Sequence[str]) -> list[str]:
    """Options for the fixture that asks: all releases where an exhaustive test is to read it, else those that turn."""
    return words("--framework", every if proofs.whole(request) else [one for one in every if one in TURNED])


def same(run: Joined, release: str, fixed: str, scenario: str) -> None:
    """The same verdict and, where it ran, the same bits."""
    before, after = cell(run, release, scenario), cell(run, fixed, scenario)
    assert (after.verdict, causes(after)) == (before.verdict, causes(before))
    if before.verdict != "unsupported":
        assert bits(run.trace(after.name)) == bits(run.trace(before.name))


# ---- DeepSpeed's offload


@pytest.fixture(scope="module")
def offload(
    request: pytest.FixtureRequest,
    older_deepspeed: Run,
    trainers: Run,
    tmp_path_factory: pytest.TempPathFactory,
    environments: Path,
) -> Joined:
    """The releases with the fix, beside the same releases as they are."""
    fix = ["--patch", "deepspeed-offload"]
    engine = [*releases(request, DEEPSPEED), *proofs.scenarios(request, NEAREST), *fix]
    narrower = proofs.scenarios(request, ("sft-ragged", OFFLOAD)) or words("--scenario", proofs.OF_TRAINERS)
    above = ["--framework", TRL, *narrower, *fix]
    runs = (
        command.run(tmp_path_factory.mktemp("offload"), environments, *chosen, timeout=BUILDING)
        for chosen in (engine, above)
    )
    return Joined((*runs, older_deepspeed, trainers))


@pytest.mark.parametrize(
    "release", proofs.cases(["deepspeed==0.15.2", "deepspeed==0.18.2", TRL], lambda r: r in (*TURNED, TRL))
)
def test_with_the_fix_offload_is_right(offload: Joined, release: str) -> None:
    assert causes(cell(offload, release, OFFLOAD)) == ["dropped-micro-batches"]
    found = cell(offload, patched(release, "deepspeed-offload"), OFFLOAD)
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


def test_what_else_is_wrong_in_0_18_9_stays(offload: Joined) -> None:
    assert causes(cell(offload, "deepspeed==0.18.9", OFFLOAD)) == ["dropped-micro-batches", "gradient-scale"]
    found = cell(offload, patched("deepspeed==0.18.9", "deepspeed-offload"), OFFLOAD)
    assert (found.verdict, causes(found)) == ("fail", ["gradient-scale"])
    assert (finding(found, "weights.scale").model_extra or {})["equals"] == "1/gradient_accumulation_steps"


def test_it_is_the_release_before_the_bug_again(offload: Joined) -> None:
    names = ("deepspeed==0.15.1", patched("deepspeed==0.15.2", "deepspeed-offload"))
    before, after = (bits(offload.trace(f"{name}/{OFFLOAD}")) for name in names)
    assert before == after


@pytest.mark.parametrize(("release", "scenario"), proofs.cases(WITHOUT, nearest))
def test_without_offload_nothing_changes(offload: Joined, release: str, scenario: str) -> None:
    same(offload, release, patched(release, "deepspeed-offload"), scenario)


def test_a_release_without_the_bug_is_refused(tmp_path: Path, environments: Path) -> None:
    chosen = ["--framework", "deepspeed==0.19.8", "--scenario", OFFLOAD, "--patch", "deepspeed-offload"]
    run = command.run(tmp_path, environments, *chosen)
    assert run.status == 3
    assert "deepspeed-offload is for deepspeed 0.15.2 to 0.18.9, not 0.19.8" in (run.verdict.cells[0].reason or "")


# ---- OpenRLHF's loss


@pytest.fixture(scope="module")
def loss(
    request: pytest.FixtureRequest, openrlhf: Joined, tmp_path_factory: pytest.TempPathFactory, environments: Path
) -> Joined:
    """The releases with the fix, beside the same releases as they are."""
    chosen = [*releases(request, OPENRLHF), *proofs.scenarios(request, AVERAGED), "--patch", "openrlhf-loss"]
    run = command.run(tmp_path_factory.mktemp("loss"), environments, *chosen, timeout=BUILDING)
    return Joined((run, *openrlhf.runs))


@pytest.mark.parametrize(("release", "scenario"), proofs.cases(product(OPENRLHF, scenarios.CATALOGUE), telling))
def test_with_the_fix_no_mean_of_means_is_left_and_no_cause_is_new(loss: Joined, release: str, scenario: str) -> None:
    before, after = (cell(loss, name, scenario) for name in (release, patched(release, "openrlhf-loss")))
    assert causes(after) == [cause for cause in causes(before) if cause != "mean-of-means"]
    if causes(before) == ["mean-of-means"]:
        assert (after.verdict, [f.message for f in after.findings]) == ("pass", [])


@pytest.mark.parametrize("release", proofs.cases(OPENRLHF, lambda release: release in TURNED))
def test_its_own_scenario_turns(loss: Joined, release: str) -> None:
    assert causes(cell(loss, release, "sft-ragged")) == ["mean-of-means"]
    assert cell(loss, patched(release, "openrlhf-loss"), "sft-ragged").verdict == "pass"
    names = ("openrlhf==0.11.2", patched(release, "openrlhf-loss"))
    assert distance(*(loss.trace(f"{name}/sft-ragged") for name in names), step=3, near_eps=100) < 1e-5


@pytest.mark.parametrize("release", proofs.cases(OPENRLHF, lambda release: release in TURNED))
def test_where_every_mean_is_the_same_nothing_changes(loss: Joined, release: str) -> None:
    same(loss, release, patched(release, "openrlhf-loss"), "sft-equal")


# ---- a diff


@pytest.fixture(scope="module")
def as_released(environments: Path) -> Environment:
    return ensure(parse("deepspeed==0.15.2"), environments, print)


def offending(environment: Environment) -> Path:
    (file,) = environment.folder.glob("venv/lib/python*/site-packages/deepspeed/runtime/zero/stage_1_and_2.py")
    return file


@pytest.fixture(scope="module")
def mended(as_released: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `git diff` says after the condition of 0.15.1 was put back."""
    before = offending(as_released).read_text()
    lost = "            accumulate_gradients()\n        else:\n"
    kept = "            accumulate_gradients()\n\n        if not self.is_gradient_accumulation_boundary:\n"
    assert before.count(lost) == 1
    name = "deepspeed/runtime/zero/stage_1_and_2.py"
    texts = (text.splitlines(keepends=True) for text in (before, before.replace(lost, kept)))
    file = tmp_path_factory.mktemp("diff") / "offload.diff"
    file.write_text("".join(difflib.unified_diff(*texts, f"a/{name}", f"b/{name}")))
    return file


def test_a_diff_turns_its_cell_and_touches_no_shared_file(
    offload: Joined, mended: Path, as_released: Environment, tmp_path: Path, environments: Path
) -> None:
    shared = offending(as_released)
    before = (shared.read_bytes(), shared.stat().st_ino, shared.stat().st_mtime_ns)
    chosen = ["--framework", "deepspeed==0.15.2", "--scenario", OFFLOAD, "--patch", str(mended)]
    run = command.run(tmp_path, environments, *chosen)
    (found,) = run.verdict.cells
    assert (run.status, found.verdict, found.version) == (0, "pass", f"0.15.2+{load(str(mended)).mark}")
    assert (shared.read_bytes(), shared.stat().st_ino, shared.stat().st_mtime_ns) == before
    fixed = offload.trace(f"{patched('deepspeed==0.15.2', 'deepspeed-offload')}/{OFFLOAD}")
    assert bits(run.trace(found.name)) == bits(fixed)
    said = next(s for s in text_files.header(run.trace(found.name))[0].shims if s["name"].startswith("patch-"))
    assert "deepspeed/runtime/zero/stage_1_and_2.py" in said["reason"]
