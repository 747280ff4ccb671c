"""A real Slurm of this machine alone: one controller, and node daemons that share its cores. Nothing is installed, and
nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import processes
from tests import needed
from tests.frameworks.command import wait_until

DAEMONS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "scancel", "squeue", "scontrol")
PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
"""Daemons are not on everybody's PATH."""
STARTING = 60.0
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=5
SlurmdParameters=config_overrides
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} CPUs=4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """Its daemons end with this process, however it ends. `folder` has a short path, for a socket lies in it."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self._folder = folder
        self._running: dict[str, processes.Kept] = {}
        self._configuration = folder / "slurm.conf"
        (folder / "state").mkdir()
        port = _free_ports(nodes + 1)
        self._configuration.write_text(
            CONFIGURATION.format(
                host=socket.gethostname().partition(".")[0],
                port=port,
                user=pwd.getpwuid(os.getuid()).pw_name,
                folder=folder,
                nodes=f"node[1-{nodes}]",
                ports=f"[{port + 1}-{port + nodes}]",
            )
        )
        (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")

    @property
    def variables(self) -> Mapping[str, str]:
        """What a command needs to speak with it."""
        return {"SLURM_CONF": str(self._configuration)}

    def start(self) -> None:
        """Raises TimeoutError where it does not come up."""
        self._start_munge()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        if not wait_until(lambda: self.idle == len(self.nodes), STARTING):
            raise TimeoutError(f"no Slurm after {STARTING} s:\n{self._logs()}")

    def start_controller(self) -> None:
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self._configuration))

    def start_node(self, node: str) -> None:
        self._start(node, "slurmd", "-D", "-N", node, "-f", str(self._configuration))

    def kill(self, daemon: str) -> None:
        """Kill the controller (`slurmctld`), or a node's daemon together with all that runs there."""
        self._running.pop(daemon).close()

    def ask(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.variables}, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout

    @property
    def idle(self) -> int:
        """Nodes that have nothing to do."""
        return self.ask("sinfo", "--noheader", "-N", "-o", "%T").split().count("idle")

    def jobs(self, form: str = "%A") -> list[str]:
        """The jobs that wait or run, of anybody."""
        return self.ask("squeue", "--noheader", f"--format={form}").split()

    def quiet(self, seconds: float = 60.0) -> bool:
        """Whether no job is left after that time at most."""
        return wait_until(lambda: not self.jobs(), seconds)

    def close(self) -> None:
        if "slurmctld" in self._running and self.jobs():
            self.ask("scancel", f"--user={os.getuid()}")
            self.quiet()
        for daemon in [*self.nodes, "slurmctld", "munged"]:
            if daemon in self._running:
                self.kill(daemon)

    def _start_munge(self) -> None:
        key = self._folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self._folder}/munge.{name}" for option, name in files.items()]
        self._start("munged", "munged", "--foreground", "--force", f"--key-file={key}", *options)
        wait_until((self._folder / "munge.socket").exists, STARTING)

    def _start(self, daemon: str, program: str, *options: str) -> None:
        found = shutil.which(program, path=PLACES)
        assert found is not None
        temporary = self._folder / daemon
        temporary.mkdir(exist_ok=True)
        variables = {**os.environ, **self.variables, "TMPDIR": str(temporary)}
        with (self._folder / f"{daemon}.log").open("ab") as log:
            self._running[daemon] = processes.Kept(
                [found, *options], variables, folder=temporary, stdout=log, stderr=log
            )

    def _logs(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in sorted(self._folder.glob("*.log")))


@contextlib.contextmanager
def cluster(nodes: int = 2) -> Iterator[Cluster]:
    """A Slurm for the time being. Skips the test where there is none to start, but fails on a machine of CI's."""
    if missing := [program for program in DAEMONS if shutil.which(program, path=PLACES) is None]:
        needed.missing(f"no {', '.join(missing)} here; on Debian: apt-get install slurm-wlm munge")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    running = Cluster(folder, nodes)
    try:
        running.start()
        yield running
    finally:
        running.close()
        shutil.rmtree(folder)


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for _ in range(100):
        first = 20000 + secrets.randbelow(10000)
        if not any(_listens(port) for port in range(first, first + count)):
            return first
    raise OSError("no free ports")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
