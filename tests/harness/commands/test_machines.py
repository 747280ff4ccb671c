"""The options for one cell over several machines, and what a plan makes of them."""

from __future__ import annotations

import pytest

from harness.commands import machines
from harness.commands.on_cluster import Asked, Cluster
from harness.commands.stop import Stop
from harness.environments.request import parse
from harness.launch.cluster.slurm import Allocation
from harness.launch.multinode.machines import SSH, named
from harness.session.plan import BadPlan, Choice, Confinement, Plan
from harness.site import current
from harness.site.site import Site

TORCH = (parse("torch==2.13.0"),)
RAGGED = (Choice("sft-ragged"),)


@pytest.mark.parametrize(
    ("hosts", "reach", "on", "nnodes", "said"),
    [
        (None, "ssh {}", None, None, "--reach says how machines are reached"),
        (None, None, None, 2, "add --on slurm"),
        ("a,b", None, Cluster.slurm, None, "leave out one of them"),
        ("a,b", None, None, 2, "--hosts says by itself"),
    ],
)
def test_options_that_do_not_go_together(
    hosts: str | None, reach: str | None, on: Cluster | None, nnodes: int | None, said: str
) -> None:
    with pytest.raises(Stop, match=said):
        machines.machines(hosts, reach, Asked(on, nnodes=nnodes))


def test_a_site_says_how_machines_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reach(None) == SSH
    monkeypatch.setattr(current, "_current", Site(reach="rsh {}"))
    assert reach(None) == ("rsh", "{}")
    assert reach("ssh {}") == ("ssh", "{}")


@pytest.mark.parametrize(
    ("launcher", "sandbox", "said"), [("template", False, "--launcher"), (None, True, "--sandbox")]
)
def test_what_leaves_a_cell_on_one_machine(launcher: str | None, sandbox: bool, said: str) -> None:
    plan = Plan(TORCH, RAGGED, machines=named(["a", "b"], None), confinement=Confinement(sandbox))
    with pytest.raises(Stop, match=said):
        machines.spread(plan, launcher)


def test_ranks_on_several_machines_are_started_by_torchrun() -> None:
    assert machines.spread(Plan(TORCH, RAGGED, machines=named(["a", "b"], None))).launcher == "torchrun"
    assert machines.spread(Plan(TORCH, RAGGED), "template").launcher == "template"


def test_ranks_are_the_same_number_on_each_machine() -> None:
    three = named(["a", "b", "c"], None)
    with pytest.raises(BadPlan, match="its 2 ranks are not spread evenly over 3 machines; say --ranks"):
        Plan(TORCH, RAGGED, machines=three)
    assert Plan(TORCH, RAGGED, machines=three, ranks=6).nnodes == 3
    with pytest.raises(BadPlan, match="over 4 machines"):
        Plan(TORCH, RAGGED, allocation=Allocation(nnodes=4))


def test_a_job_with_several_nodes_reaches_them_by_srun() -> None:
    plan = Plan(TORCH, RAGGED, allocation=Allocation(nnodes=2, srun=("--container-image=i",)))
    assert plan.spread is not None
    assert (plan.spread.every, plan.spread.reach[0], plan.spread.reach[-1]) == ((), "srun", "--container-image=i")
    assert Plan(TORCH, RAGGED, allocation=Allocation()).spread is None
    assert Plan(TORCH, RAGGED).spread is None


def test_the_command_of_a_cell_names_the_machines() -> None:
    said = Plan(TORCH, RAGGED, machines=named(["a", "b"], "rsh {} nice")).command(TORCH[0], RAGGED[0])
    assert "--hosts a,b --reach 'rsh '{}' nice'" in said or """--reach 'rsh '"'"'{}'"'"' nice'""" in said
    assert "--reach" not in Plan(TORCH, RAGGED, machines=named(["a", "b"], None)).command(TORCH[0], RAGGED[0])


def reach(given: str | None) -> tuple[str, ...]:
    found = machines.machines("a,b", given, Asked())
    assert found is not None
    return found.reach
