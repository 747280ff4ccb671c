"""The options for one cell over several machines: `--hosts` and `--reach`, or `--nnodes` in jobs of a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.on_cluster import Asked
from harness.commands.stop import Stop

if TYPE_CHECKING:
    from harness.launch.multinode.machines import Machines
    from harness.session.plan import Plan

PANEL = "One cell over several machines"

Hosts = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        rich_help_panel=PANEL,
        help="Spread the ranks of each cell over these machines, by torchrun. They meet on the first; one of them "
        "may be this machine.",
    ),
]
Reach = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        rich_help_panel=PANEL,
        help="What runs a command on the machine {}, before that command. Default: `ssh -o BatchMode=yes {}`.",
    ),
]


def machines(hosts: str | None, reach: str | None, cluster: Asked) -> Machines | None:
    """The machines that are named; None where each cell runs on one, or on the nodes of its job. Raises Stop, and
    BadMachines."""
    from harness.launch.multinode.machines import named
    from harness.site.current import current

    if hosts is None:
        if reach is not None:
            raise Stop("--reach says how machines are reached; name them with --hosts A,B")
        if cluster.nnodes is not None and cluster.on is None:
            raise Stop("--nnodes is for the jobs of a cluster; add --on slurm, or name machines with --hosts A,B")
        return None
    if cluster.on is not None:
        raise Stop("--hosts names machines, and --on slurm asks for some; leave out one of them")
    if cluster.nnodes is not None:
        raise Stop("--nnodes is for the jobs of a cluster; --hosts says by itself how many machines there are")
    return named(hosts.split(","), reach or current().reach)


def spread(plan: Plan, launcher: str | None = None) -> Plan:
    """The plan, by the launcher that spreads cells over machines where it does. Raises Stop for options that cannot."""
    if plan.spread is None:
        return plan
    if launcher == "template":
        raise Stop(
            "--launcher template forks the ranks of a cell on one machine; leave it out, so that torchrun starts them"
        )
    if plan.confinement.sandbox:
        raise Stop("--sandbox has no network, by which machines speak with each other; leave it out")
    return replace(plan, launcher="torchrun")
