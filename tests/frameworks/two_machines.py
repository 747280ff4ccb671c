"""Two machines of a network of their own: namespaces of this one with an address each, joined by one cable, and reached
by a real ssh. Nothing is left of them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import processes
from tests import needed
from tests.frameworks.command import wait_until

PROGRAMS = ("ip", "ssh", "ssh-keygen", "sshd")
PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""What makes networks is not on everybody's PATH."""
SETTINGS = Path("/etc/netns")
STARTING = 20.0
SERVER = """
Port 22
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
"""
CLIENT = """
IdentityFile {folder}/user
UserKnownHostsFile /dev/null
StrictHostKeyChecking no
LogLevel ERROR
"""


class TwoMachines:
    """Their names are their addresses. This machine has no way to them but by its namespaces."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        net = f"10.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}"
        self.hosts = (f"{net}.1", f"{net}.2")
        self._cables = [f"ls{secrets.token_hex(3)}{end}" for end in "ab"]
        self._servers: list[processes.Kept] = []

    @property
    def inside(self) -> str:
        """A command's first words that run it on a machine, with no network between."""
        return "ip netns exec lockstep-{}"

    @property
    def by_ssh(self) -> str:
        """The same by ssh, from the first machine."""
        return f"ip netns exec lockstep-{self.hosts[0]} ssh -F {shlex.quote(str(self._folder / 'client'))} {{}}"

    def make(self) -> None:
        """Raises CalledProcessError where that is not allowed."""
        a, b = self._cables
        names = "127.0.0.1 localhost\n" + "".join(f"{host} machine-{host}\n" for host in self.hosts)
        for host in self.hosts:
            _ip("netns", "add", f"lockstep-{host}")
            settings = SETTINGS / f"lockstep-{host}"  # which `ip netns exec` shows in the place of those of /etc
            settings.mkdir(parents=True)
            (settings / "hosts").write_text(f"{names}{host} {socket.gethostname()}\n")
            (settings / "resolv.conf").write_text("")
            (settings / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        there = [["netns", f"lockstep-{host}"] for host in self.hosts]
        _ip("link", "add", a, *there[0], "type", "veth", "peer", "name", b, *there[1])
        for host, cable in zip(self.hosts, self._cables, strict=True):
            _ip("-n", f"lockstep-{host}", "address", "add", f"{host}/24", "dev", cable)
            for device in ("lo", cable):
                _ip("-n", f"lockstep-{host}", "link", "set", device, "up")

    def serve(self) -> None:
        """Start sshd on both. Raises TimeoutError."""
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(self._folder / name)], check=True)
        for name, text in (("server", SERVER), ("client", CLIENT)):
            (self._folder / name).write_text(text.format(folder=self._folder))
        Path("/run/sshd").mkdir(exist_ok=True)
        found = shutil.which("sshd", path=PLACES)
        assert found is not None
        for host in self.hosts:
            words = [*shlex.split(self.inside.format(host)), found, "-D", "-e", "-f", str(self._folder / "server")]
            with (self._folder / f"sshd-{host}.log").open("ab") as log:
                self._servers.append(processes.Kept(words, os.environ, stdout=log, stderr=log))
        if not wait_until(lambda: all(map(self._answers, self.hosts)), STARTING):
            raise TimeoutError("no sshd")

    def cut(self) -> None:
        """Take the cable out."""
        _ip("-n", f"lockstep-{self.hosts[0]}", "link", "set", self._cables[0], "down")

    @property
    def sent(self) -> int:
        """Bytes that the first machine has sent to the second one."""
        told = json.loads(_ip("-n", f"lockstep-{self.hosts[0]}", "-s", "-j", "link", "show", "dev", self._cables[0]))
        return int(told[0]["stats64"]["tx"]["bytes"])

    def processes(self, host: str) -> list[int]:
        """What runs on a machine, but for its sshd and what that has for each connection."""
        found = [int(line) for line in _ip("netns", "pids", f"lockstep-{host}").split()]
        return [process for process in found if _name(process) not in ("sshd", "ip", "")]

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for host in self.hosts:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", f"lockstep-{host}")
            shutil.rmtree(SETTINGS / f"lockstep-{host}", ignore_errors=True)

    def _answers(self, host: str) -> bool:
        words = shlex.split(self.by_ssh.format(host))
        return subprocess.run([*words, "true"], check=False, capture_output=True, timeout=STARTING).returncode == 0


@contextlib.contextmanager
def two_machines() -> Iterator[TwoMachines]:
    """Two of them for the time being. Skips the test where that is not allowed, but fails on a machine of CI's."""
    if missing := [program for program in PROGRAMS if shutil.which(program, path=PLACES) is None]:
        needed.missing(f"no {', '.join(missing)} here; on Debian: apt-get install iproute2 openssh-server")
    folder = Path(tempfile.mkdtemp(prefix="machines-"))
    made = TwoMachines(folder)
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            needed.missing(f"no network namespaces can be made here: {error.stderr.strip()}")
        made.serve()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)


def _ip(*words: str) -> str:
    found = shutil.which("ip", path=PLACES)
    return subprocess.run([found or "ip", *words], check=True, capture_output=True, text=True).stdout


def _name(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().strip()
    return ""
