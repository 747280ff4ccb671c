"""The machines that the ranks of one cell are spread over, and how a command gets to each."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness.limits import MAX_MACHINES

HOST = "{}"
"""Stands for a machine's name in what reaches it."""
SSH = ("ssh", "-o", "BatchMode=yes", HOST)


_NAME = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:%-]*")


class BadMachines(Exception):
    """A cell cannot be spread over these machines; the message is one line with the remedy."""


@dataclass(frozen=True)
class Machine:
    name: str
    """As `reach` knows it."""
    address: str
    """As the other machines know it."""
    here: bool
    """Whether it is the one that this process runs on, which needs nothing to be reached."""


@dataclass(frozen=True)
class Machines:
    """Ranks are numbered in this order. The first one is where they meet."""

    every: tuple[Machine, ...]
    reach: tuple[str, ...] = SSH
    """Words before a command that run it on the machine `HOST`, and hand its standard streams on."""

    @property
    def names(self) -> str:
        """As `--hosts` has them."""
        return ",".join(machine.name for machine in self.every)

    def command(self, machine: Machine) -> list[str]:
        """What runs `multinode.far` on a machine: of words that no shell on the way reads in another way."""
        root = Path(_origin("harness")).parent.parent
        words = ["env", f"PYTHONPATH={root}", sys.executable, "-P", "-m", "harness.launch.multinode.far"]
        if odd := next((word for word in words if shlex.quote(word) != word), None):
            raise BadMachines(f"{odd} has characters that a shell on another machine would change; move it")
        return words if machine.here else [*(word.replace(HOST, machine.name) for word in self.reach), *words]

    def others(self, machine: Machine) -> str:
        """The address of one that the machine has to reach: the first one, or the second for the first."""
        return self.every[machine == self.every[0]].address


def named(names: Sequence[str], reach: str | None) -> Machines:
    """Machines by their names or addresses, two at least. Raises BadMachines."""
    if odd := [name for name in names if not _NAME.fullmatch(name)]:
        raise BadMachines(f"--hosts: {odd[0]!a} is no machine's name or address; write them as a,b")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadMachines(f"--hosts names {twice} twice; name each machine once")
    if not 2 <= len(names) <= MAX_MACHINES:
        raise BadMachines(f"--hosts names {len(names)}; name 2 to {MAX_MACHINES} machines, as a,b")
    return Machines(tuple(Machine(name, name, _is_here(name)) for name in names), _words(reach))


def _words(reach: str | None) -> tuple[str, ...]:
    try:
        words = SSH if reach is None else tuple(shlex.split(reach))
    except ValueError as error:
        raise BadMachines(f"reach {reach!a}: {error}; write a command as 'ssh {HOST}'") from None
    if not any(HOST in word for word in words):
        raise BadMachines(f"reach {reach!a} has no {HOST} for the machine; write a command as 'ssh {HOST}'")
    return words


def _is_here(name: str) -> bool:
    """Whether an address of that name is one of this machine's own."""
    with contextlib.suppress(OSError):
        for family, kind, _, _, address in socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM):
            with contextlib.suppress(OSError), socket.socket(family, kind) as probe:
                probe.bind(address)
                return True
    return False


def _origin(package: str) -> str:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return spec.origin
