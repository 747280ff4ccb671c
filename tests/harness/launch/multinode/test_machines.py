"""Machines by their names, and what reaches them."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.launch.multinode.interface import towards
from harness.launch.multinode.machines import SSH, BadMachines, Machines, named
from harness.launch.multinode.share import ALONE, Share

HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"


def test_a_machine_is_here_if_it_has_that_address() -> None:
    made = named([HERE, ELSEWHERE, "localhost"], None)
    assert [machine.here for machine in made.every] == [True, False, True]
    assert made.reach == SSH


def test_what_reaches_a_machine_comes_before_the_program() -> None:
    made = named([HERE, ELSEWHERE], "ssh -p 22 user@{} nice")
    here, there = (made.command(machine) for machine in made.every)
    assert here[0] == "env"
    assert here[-2:] == ["-m", "harness.launch.multinode.far"]
    assert there == ["ssh", "-p", "22", f"user@{ELSEWHERE}", "nice", *here]


def test_a_path_that_a_shell_would_change_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/my envs/bin/python")
    made = named([HERE, ELSEWHERE], None)
    with pytest.raises(BadMachines, match=r"/my envs/bin/python has characters"):
        made.command(made.every[0])


def test_each_machine_looks_towards_another_one() -> None:
    a, b, c = (made := named([HERE, ELSEWHERE, "192.0.2.8"], None)).every
    assert [made.others(machine) for machine in (a, b, c)] == [ELSEWHERE, HERE, HERE]


@pytest.mark.parametrize(
    ("names", "reach", "said"),
    [
        (["a"], None, "--hosts names 1; name 2 to"),
        (["a", "b", "a"], None, "--hosts names a twice"),
        (["a", ""], None, "'' is no machine's name or address"),
        (["a", "-oProxyCommand=x"], None, "is no machine's name"),
        (["a", "b"], "ssh", "has no {} for the machine"),
        (["a", "b"], "ssh '{}", "No closing quotation"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(names: list[str], reach: str | None, said: str) -> None:
    with pytest.raises(BadMachines) as raised:
        named(names, reach)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.integers(1, 8), st.integers(1, 8))
def test_shares_are_all_ranks_in_order(machines: int, each: int) -> None:
    ranks = machines * each
    shares = [Share(number, machines, "a", 1) for number in range(machines)]
    assert [rank for share in shares for rank in share.ranks(ranks)] == list(range(ranks))
    for share in shares:
        options = share.options(ranks)
        assert options[options.index("--nproc-per-node") + 1] == str(each)
        assert ("--standalone" in options) == (machines == 1)
    assert len({share.log for share in shares}) == machines


def test_alone_it_is_the_whole_cell() -> None:
    assert ALONE.ranks(4) == range(4)
    assert ALONE.options(4) == ["--standalone", "--nproc-per-node", "4"]


def test_the_interface_that_leads_to_another_machine() -> None:
    known = {name for _, name in socket.if_nameindex()}
    assert towards(HERE) == "lo"
    assert towards(ELSEWHERE) in {None, *known}
    assert towards("no-such-machine.invalid") is None
    if Path("/proc/net/if_inet6").exists():
        assert towards("::1") == "lo"


def test_machines_of_a_job_are_told_later() -> None:
    assert Machines((), ("srun", "{}")).every == ()
