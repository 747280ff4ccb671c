"""Every framework's newest release, by the command that a newcomer types, and the frameworks against each other."""

from __future__ import annotations

import pytest

import scenarios
from harness import cli
from harness.environments import recipes
from harness.verdicts.verdict import ViewRecord
from tests.frameworks import proofs
from tests.frameworks.command import Joined, Run, distance

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]  # the first may have to build nine environments

FRAMEWORKS = recipes.shipped().framework
RELEASES = [f"{name}=={known.newest}" for name, known in FRAMEWORKS.items()]


def view(run: Run, scenario: str) -> ViewRecord:
    return next(v for v in run.verdict.views if v.scenario == scenario)


def test_the_mission_is_whole() -> None:
    known = {"torch", "ddp", "fsdp2", "deepspeed", "trl", "llamafactory", "ms-swift", "openrlhf", "verl"}
    assert set(FRAMEWORKS) >= known


def test_nothing_is_red_that_is_not_known(newest: Run) -> None:
    assert newest.status == 0, newest.printed
    assert {c.verdict for c in newest.verdict.cells} == {"pass", "accepted", "unsupported"}
    assert newest.verdict.complete


@pytest.mark.parametrize("framework", proofs.OTHERWISE)
def test_what_comes_out_is_what_is_said(newest: Run, framework: str) -> None:
    found = {c.scenario: c.verdict for c in newest.verdict.cells if c.framework == framework}
    assert found == dict.fromkeys(scenarios.CATALOGUE, "pass") | dict(proofs.OTHERWISE[framework])


def test_nothing_is_left_behind(newest: Run) -> None:
    assert (newest.survivors, newest.files) == ((), ())


@pytest.mark.parametrize("release", RELEASES)
def test_ragged_responses_pass(newest: Run, release: str) -> None:
    assert newest.cell(f"{release}/sft-ragged").verdict == "pass"


@pytest.mark.parametrize("release", RELEASES)
def test_all_end_where_the_reference_ends(newest: Run, release: str) -> None:
    traces = [newest.trace(f"{name}/sft-ragged") for name in (RELEASES[0], release)]
    assert distance(*traces, step=3, near_eps=100.0) <= 1e-5
    assert distance(*traces, step=3) <= 1e-4


@pytest.mark.parametrize("scenario", ["sft-ragged", "sft-equal", "sft-ragged-noclip", "sft-ragged-batch2"])
def test_all_are_one_group_and_were_fed_alike(newest: Run, scenario: str) -> None:
    found = view(newest, scenario)
    (group,) = found.groups
    assert set(group.members) == {f"{release}/{scenario}" for release in RELEASES}
    families = {recipes.shipped().family(name) for name in FRAMEWORKS}
    assert (group.votes, group.side, found.majority) == (len(families), "right", 0)
    assert len(families) == 5
    assert len(found.inputs) == 1
    assert found.left_out == []
    # Their losses are computed from logits, outside of the model.
    assert {name.split("=")[0] for name in found.masks_unseen} >= {"openrlhf", "verl"}


def test_a_mean_of_means_is_outvoted(newest: Run) -> None:
    found = view(newest, "sft-ragged-processor")
    right, wrong = found.groups
    assert (right.side, wrong.side, found.majority) == ("right", "wrong", 0)
    assert wrong.members == ["llamafactory==0.9.5/sft-ragged-processor"]
    assert found.distances[0].parted == 0
    assert len(found.rows) == 8


def test_older_releases_stand_apart(openrlhf: Joined) -> None:
    """Their own run holds two ways of averaging: 0.9.10 and 0.10.2 agree, 0.10.3 does not."""
    found = view(openrlhf.runs[1], "sft-ragged")
    assert [[m.split("/")[0] for m in g.members] for g in found.groups] == [
        ["openrlhf==0.9.10", "openrlhf==0.10.2"],
        ["openrlhf==0.10.3"],
    ]
    assert {g.side for g in found.groups} == {"wrong"}
    assert found.majority is None  # releases of one framework have one vote


def test_what_is_said_of_all_of_them(newest: Run) -> None:
    printed = " ".join(newest.printed.split())
    assert f"all runs made the same update, within noise, on: sft-ragged ({len(RELEASES)})" in printed
    assert "accepted llamafactory==0.9.5 on sft-ragged-processor" in printed


@pytest.mark.parametrize("command", ["explain", "judge"])
def test_judged_again_it_is_accepted_as_before(newest: Run, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = "llamafactory==0.9.5/sft-ragged-processor"
    chosen = [str(newest.out), name] if command == "explain" else [str(newest.trace(name))]
    assert cli.call([command, *chosen]) == 0
    assert "accepted  llamafactory==0.9.5 on sft-ragged-processor" in capsys.readouterr().out
