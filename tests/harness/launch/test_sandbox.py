"""What is in the sandbox has no network, no home, and nothing to write but what it needs."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Job
from harness.environments import patch
from harness.launch import sandbox
from harness.launch.pythonpath import adapters_alone
from harness.launch.sandbox import SCRATCH, NoSandbox, Sandbox, start_in
from harness.launch.template import Template
from harness.launch.torchrun import Torchrun
from tests.sandboxed import needs_sandbox

Make = Callable[..., Job]
Survivors = Callable[[Job], list[int]]

PYTHON = Path(sys.executable)
ROOT = Path(__file__).parents[3]

PROBE = """
import json, os, socket, sys
asked = json.loads(sys.argv[1])
said = {}
for name, (kind, what) in asked.items():
    try:
        if kind == "read":
            open(what, "rb").read(1)
        elif kind == "list":
            if not os.listdir(what):
                raise FileNotFoundError("empty")
        elif kind == "write":
            open(what, "ab").close()
        elif kind == "connect":
            socket.create_connection(tuple(what), timeout=5).close()
        elif kind == "unix":
            socket.socket(socket.AF_UNIX).connect(what)
        elif kind == "resolve":
            socket.getaddrinfo(what, 443)
        elif kind == "process":
            os.kill(what, 0)
        elif kind == "import":
            __import__(what)
        said[name] = None
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
said["processes"] = len([p for p in os.listdir("/proc") if p.isdecimal()])
said["environ"] = open("/proc/self/environ").read()
said["expanded"] = os.path.expanduser("~")
print(json.dumps(said))
"""
"""Tries what it is asked to, and says how that went: nothing, or the error."""


@dataclass(frozen=True)
class Probe:
    """A program that can be asked to try something, in a sandbox and out of it."""

    confined: Sandbox
    variables: Mapping[str, str]

    def said(self, asked: Mapping[str, tuple[str, object]], inside: bool = True) -> dict[str, Any]:
        with adapters_alone() as folder:
            (folder / SCRATCH).mkdir()
            command = [str(PYTHON), "-c", PROBE, json.dumps(asked)]
            start = start_in(folder, command, PYTHON, self.variables, self.confined if inside else None)
            ran = subprocess.run(
                start.command, env=dict(start.environment), capture_output=True, text=True, check=False
            )
        assert ran.returncode == 0, ran.stderr
        return dict(json.loads(ran.stdout))


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    return Probe(Sandbox((), ()), {"TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions")})


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    """What listens on the loopback of this machine, where services without a password often do."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


@needs_sandbox
def test_there_is_no_network_but_a_loopback_of_its_own(probe: Probe, listener: tuple[str, int], tmp_path: Path) -> None:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "socket"))
    unix.listen()
    asked = {
        "loopback": ("connect", listener), "outside": ("connect", ["1.1.1.1", 443]), "name": ("resolve", "example.org"),
        "socket": ("unix", str(tmp_path / "socket")),
    }  # fmt: skip
    inside, outside = probe.said(asked), probe.said(asked, inside=False)
    assert outside["loopback"] is outside["socket"] is None, "they are there"
    assert "Connection refused" in inside["loopback"]
    assert "unreachable" in inside["outside"]
    assert "gaierror" in inside["name"]
    assert "FileNotFoundError" in inside["socket"]
    unix.close()


@needs_sandbox
def test_there_is_no_home_and_nothing_of_the_users(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id").write_text("secret")
    monkeypatch.setenv("HOME", str(home))
    asked = {
        "key": ("read", str(home / ".ssh" / "id")), "home": ("list", str(home)), "run": ("list", "/run"),
        "code": ("read", str(ROOT / "Makefile")), "shadow": ("read", "/etc/shadow"), "variable": ("list", "/var"),
    }  # fmt: skip
    inside, outside = probe.said(asked), probe.said(asked, inside=False)
    assert outside["key"] is outside["code"] is outside["home"] is None, "they are there"
    for name in asked:
        assert "FileNotFoundError" in inside[name], (name, inside[name])
    assert inside["expanded"] != str(home)
    probe.said({"write": ("write", str(home / "new"))})
    assert not (home / "new").exists()


@needs_sandbox
@pytest.mark.parametrize("where", ["a folder", "/", "above the repository", "that of the interpreter"])
def test_it_starts_wherever_the_home_is(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    places = {
        "a folder": tmp_path, "/": Path("/"), "above the repository": ROOT.parent,
        "that of the interpreter": PYTHON.resolve().parent.parent,
    }  # fmt: skip
    monkeypatch.setenv("HOME", str(places[where]))
    asked = {
        "adapters": ("import", "adapters.contract"), "package": ("import", "numpy"),
        "code": ("read", str(ROOT / "Makefile")),
    }  # fmt: skip
    said = probe.said(asked)
    assert said["adapters"] is said["package"] is None
    assert "FileNotFoundError" in said["code"]


@needs_sandbox
def test_only_what_is_meant_to_be_written_can_be(probe: Probe, tmp_path: Path) -> None:
    for name in ("read", "write"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    confined = Probe(Sandbox((tmp_path / "read",), (tmp_path / "write",)), probe.variables)
    asked = {
        "read": ("read", str(tmp_path / "read" / "file")), "change": ("write", str(tmp_path / "read" / "file")),
        "add": ("write", str(tmp_path / "read" / "new")), "write": ("write", str(tmp_path / "write" / "new")),
        "adapters": ("write", str(ROOT / "adapters" / "faults.py")), "torch": ("write", _torch()),
        "system": ("write", "/usr/new"), "extensions": ("write", str(tmp_path / "extensions" / "new")),
        "interpreter": ("write", str(PYTHON.parent / "new")),
    }  # fmt: skip
    said = confined.said(asked)
    assert said["read"] is said["write"] is said["extensions"] is None
    assert (tmp_path / "write" / "new").exists()
    for name in ("change", "add", "adapters", "torch", "system", "interpreter"):
        assert "Read-only file system" in said[name], (name, said[name])


def _torch() -> str:
    import torch

    return torch.__file__


@needs_sandbox
def test_other_processes_and_their_secrets_cannot_be_seen(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """What started the harness has the token in its environment, where every process of the same user can read it."""
    with subprocess.Popen(["sleep", "60"], env={**os.environ, "GH_TOKEN": "hush"}) as other:
        asked = {"other": ("process", other.pid), "token": ("read", f"/proc/{other.pid}/environ")}
        try:
            inside, outside = probe.said(asked), probe.said(asked, inside=False)
        finally:
            other.kill()
    assert outside["other"] is outside["token"] is None
    assert "ProcessLookupError" in inside["other"]
    assert "FileNotFoundError" in inside["token"]
    assert inside["processes"] == 2, "the first one of the namespace, which is bubblewrap, and the probe"
    assert "hush" not in inside["environ"]


@needs_sandbox
@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["template", "torchrun"])
def test_ranks_meet_and_write_their_trace(variables: dict[str, str], job: Make, tmp_path: Path, launcher: str) -> None:
    cell = job()
    confined = Sandbox((Path(cell.checkpoint),), (Path(cell.trace).parent,))
    with _runner(launcher, variables, tmp_path, confined, cell) as runner:
        outcome = runner.run(cell, 120)
        assert (outcome.status, outcome.reason) == ("finished", None)
        assert runner.run(job("raise"), 120).status == "crashed", "its trace lies elsewhere"


@needs_sandbox
@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["template", "torchrun"])
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("hang", r"not finished after 10 s; still running: 0, 1; rank 0 was in do_hang \(misbehaving_sft\.py:\d+\)"),
        ("kill", "rank 1: killed by SIGKILL"),
        ("raise", "rank 1: ValueError: planted"),
    ],
)
def test_a_cell_ends_as_out_of_it(
    variables: dict[str, str], job: Make, tmp_path: Path, launcher: str, how: str, reason: str
) -> None:
    cell = job(how)
    confined = Sandbox((), (Path(cell.trace).parent,))
    with _runner(launcher, variables, tmp_path, confined, cell) as runner:
        assert re.fullmatch(reason, runner.run(cell, 10).reason or "")


@needs_sandbox
@pytest.mark.slow
def test_a_patch_is_there(variables: dict[str, str], job: Make, tmp_path: Path) -> None:
    file = tmp_path / "mend.py"
    file.write_text('"""It mends."""\ndef apply():\n    raise RuntimeError("it is here")\n')
    own = {**variables, **patch.variables([patch.load(str(file))])}
    with Template(PYTHON, job().adapter, own, tmp_path / "log.txt", Sandbox()) as template:
        assert "it is here" in str(template.run(job(), 60).reason)


@needs_sandbox
@pytest.mark.slow
def test_a_killed_template_is_said_to_be(variables: dict[str, str], job: Make, tmp_path: Path) -> None:
    own = {**variables, "AT_IMPORT": "die"}
    with Template(PYTHON, job().adapter, own, tmp_path / "log.txt", Sandbox()) as template:
        assert "the template process was killed by SIGKILL" in str(template.run(job(), 60).reason)


def test_a_machine_without_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoSandbox, match="install the package bubblewrap"):
        sandbox.check()


def test_a_machine_that_allows_none_is_told_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As Ubuntu from 24.04 on."""
    program = tmp_path / sandbox.PROGRAM
    program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(NoSandbox, match=r"makes no namespaces \(bwrap: setting up uid map: Permission denied\)"):
        sandbox.check()


def _runner(
    launcher: str, variables: dict[str, str], tmp_path: Path, confined: Sandbox, cell: Job
) -> Template | Torchrun:
    if launcher == "torchrun":
        return Torchrun(PYTHON, variables, confined)
    return Template(PYTHON, cell.adapter, variables, tmp_path / "log.txt", confined)
