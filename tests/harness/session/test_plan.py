"""What a run is to do, from the words of the command line."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import vary
from harness.environments.patch import load
from harness.environments.request import Request
from harness.launch.cluster.slurm import Allocation
from harness.session.plan import BadPlan, Choice, Confinement, Plan, check_fault, choose, release, way

TORCH = Request("torch", "2.13.0")
OLD = Request("deepspeed", "0.18.9")


def test_choosing_scenarios() -> None:
    assert choose(["sft-equal", "sft-ragged"], 1) == (Choice("sft-ragged"), Choice("sft-equal"))
    assert choose(["sft-equal"], 2) == (Choice("sft-equal", 0), Choice("sft-equal", 1))
    assert choose(["sft-equal@5", "sft-eq*"], 1) == (Choice("sft-equal", 0), Choice("sft-equal", 5))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("sft-raged", "did you mean sft-ragged"), ("xyz*", "lockstep list scenarios"), ("sft-equal@x", "no seed")],
)
def test_scenarios_that_do_not_exist(pattern: str, said: str) -> None:
    with pytest.raises(BadPlan, match=said):
        choose([pattern], 1)


def test_faults_are_for_torch_alone() -> None:
    check_fault("scale-ga", [TORCH], ["scale-ga"])
    with pytest.raises(BadPlan, match="did you mean scale-ga"):
        check_fault("scale-gb", [TORCH], ["scale-ga"])
    with pytest.raises(BadPlan, match=r"not for deepspeed==0\.18\.9"):
        check_fault("scale-ga", [TORCH, OLD], ["scale-ga"])


def test_names_of_releases() -> None:
    assert release(TORCH, "2.13.0") == "2.13.0"
    assert release(Request("torch", python=Path("/opt/python")), "2.13.0") == "2.13.0+own"
    patch = load("deepspeed-offload")
    mark = f"patch.{hashlib.sha256(patch.path.read_bytes()).hexdigest()[:8]}"
    assert release(replace(OLD, patches=(patch,)), "0.18.9") == f"0.18.9+{mark}"
    assert release(Request("torch", python=Path("/opt/python"), patches=(patch,)), "2.13.0") == f"2.13.0+own.{mark}"
    trl = Request("trl", "1.16.0", (("deepspeed", "0.18.9"),), patches=(patch,))
    assert release(trl, "1.16.0") == f"1.16.0+{mark},deepspeed==0.18.9"
    other = load("openrlhf-loss")
    assert release(replace(OLD, patches=(patch, other)), "0.18.9") == f"0.18.9+{mark}.{other.mark}"


def test_the_command_of_a_cell_has_all_patches() -> None:
    request = replace(OLD, patches=(load("deepspeed-offload"), load("openrlhf-loss")))
    command = Plan((), (Choice("sft-ragged"),)).command(request, Choice("sft-ragged"))
    assert command.endswith("--scenario sft-ragged --patch deepspeed-offload --patch openrlhf-loss")
    assert way(command) == ()


def test_the_command_of_a_cell_has_what_it_was_kept_from_and_given() -> None:
    plan = Plan((), (Choice("sft-ragged"),), confinement=Confinement(sandbox=True, passed=("ONE", "TWO")))
    command = plan.command(TORCH, Choice("sft-ragged"))
    words = "lockstep run --framework torch==2.13.0 --scenario sft-ragged --pass-env ONE --pass-env TWO --sandbox"
    assert command == words


def test_a_file_with_its_own_seed_or_with_others(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("seed = 2")
    (own,) = choose([str(mine)], 1)
    assert (own.name, own.seed, own.pattern) == ("mine", 2, str(mine))
    several = choose([str(mine)], 3)
    assert [(c.seed, c.pattern) for c in several] == [(n, f"{mine}@{n}") for n in range(3)]
    assert [choose([c.pattern], 1)[0].scenario for c in several] == [c.scenario for c in several]
    assert Plan((), several).command(TORCH, several[1]).endswith(f"--scenario {mine}@1")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for place in ("a.toml", "b.toml"):
        (tmp_path / place).write_text("name = 'same'\nseed = 1")
    with pytest.raises(BadPlan, match="two scenarios are called 'same@1'"):
        choose([str(tmp_path / "a.toml"), str(tmp_path / "b.toml")], 1)


def test_ranks_that_cannot_be_shared() -> None:
    own = vary(scenarios.get("sft-ragged"), name="own", ranks=4, strategy="fsdp", replicas=2)
    own = vary(own, rows=own.data.rows * 2)
    with pytest.raises(BadPlan) as told:
        Plan((TORCH,), (Choice("own", 0, own),), ranks=3)
    said = "sharding.replicas is 2, not a divisor of the 3 ranks, and fewer"
    assert str(told.value) == f"own cannot run with --ranks 3: {said}"


def test_a_scenario_whose_names_no_parameter_has() -> None:
    own = vary(scenarios.get("sft-ragged"), name="own", frozen=("typo*",))
    with pytest.raises(BadPlan, match=r"own cannot run: model\.frozen has 'typo"):
        Plan((TORCH,), (Choice("own", 0, own),))


@pytest.mark.parametrize("ranks", [1, 4])
def test_every_named_scenario_runs_on_as_many_ranks(ranks: int) -> None:
    Plan((TORCH,), tuple(map(Choice, scenarios.CATALOGUE)), ranks=ranks)


@pytest.mark.parametrize(
    ("nodes", "requests", "share", "started"), [(1, 1, 1, 1), (1, 3, 1, 1), (4, 2, 2, 4), (8, 3, 2, 8), (2, 5, 1, 2)]
)
def test_the_jobs_of_a_cluster_are_no_more_than_its_nodes(nodes: int, requests: int, share: int, started: int) -> None:
    named = tuple(Request("torch", f"2.{number}.0") for number in range(requests))
    whole = Plan(named, (Choice("sft-equal"),), allocation=Allocation(nodes=nodes))
    assert (whole.share, whole.started) == (share, started)
    assert min(whole.started, requests) * whole.share <= nodes
    assert whole.handed_out == requests
