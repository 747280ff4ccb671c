"""What a real release sees of the machine: no secret, and in the sandbox no network, no home and no other process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.expressed import FRAMEWORKS
from tests.frameworks import command, proofs
from tests.frameworks.command import Run
from tests.frameworks.test_run import bits
from tests.sandboxed import needs_sandbox

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

TORCH = "torch==2.13.0"
ONE = ("--framework", "torch", "--scenario", "sft-ragged")

FEW = ("torch", "trl", "verl")
OTHERS = tuple(sorted(set(FRAMEWORKS) - set(FEW)))

SECRETS = {
    "GH_TOKEN": "hush-1", "AWS_SECRET_ACCESS_KEY": "hush-2", "HF_TOKEN": "hush-3", "WANDB_API_KEY": "hush-4",
    "NVIDIA_API_KEY": "hush-5", "OPENAI_API_KEY": "hush-6", "DATABASE_URL": "hush-7", "PGPASSWORD": "hush-8",
}  # fmt: skip

SPY = '''
"""It looks around."""
import json, os, socket
from pathlib import Path

def apply():
    said = {"variables": dict(os.environ), "others": "", "network": None, "home": []}
    for other in Path("/proc").glob("[0-9]*/environ"):
        try:
            said["others"] += other.read_text(errors="replace")
        except OSError:
            pass
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
    except OSError as error:
        said["network"] = str(error)
    try:
        said["home"] = os.listdir("HOME")
    except OSError:
        pass
    print("SEEN", json.dumps(said))
'''


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A change to a release that prints what it sees; a home with something in it, and eight secrets."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "spy.py"
    file.write_text(SPY)
    return file


def seen(run: Run) -> dict[str, Any]:
    (log,) = (run.out / "logs").iterdir()
    (line,) = [line for line in log.read_text().splitlines() if line.startswith("SEEN ")]
    assert [cell.verdict for cell in run.verdict.cells] == ["pass"]
    return dict(json.loads(line.removeprefix("SEEN ")))


def look(spy: Path, environments: Path, *options: str) -> dict[str, Any]:
    """What the release sees in one run."""
    import socket

    home = spy.parent / "home"
    home.mkdir()
    (home / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        spy.write_text(SPY.replace("PORT", str(server.getsockname()[1])).replace('"HOME"', repr(str(home))))
        return seen(command.run(spy.parent, environments, *ONE, "--patch", str(spy), *options))


def test_no_secret_is_in_its_environment(spy: Path, environments: Path) -> None:
    said = look(spy, environments)
    assert "PATH" in said["variables"]
    assert not set(SECRETS) & set(said["variables"])
    assert "hush" not in str(said["variables"])
    assert (said["network"], said["home"]) == (None, ["file"]), "that is what the sandbox is for"


def test_a_named_variable_is_seen(spy: Path, environments: Path) -> None:
    said = look(spy, environments, "--pass-env", "DATABASE_URL")
    assert {name: said["variables"].get(name) for name in SECRETS if name in said["variables"]} == {
        "DATABASE_URL": "hush-7"
    }


@needs_sandbox
def test_in_the_sandbox_it_sees_no_network_no_home_and_no_other_process(spy: Path, environments: Path) -> None:
    said = look(spy, environments, "--sandbox")
    assert "hush" not in said["others"], "the environment of what started it has them"
    assert "TMPDIR" in said["others"], "it sees its own"
    assert "refused" in said["network"]
    assert said["home"] == []


@needs_sandbox
@pytest.mark.parametrize("frameworks", [FEW, pytest.param(OTHERS, marks=pytest.mark.exhaustive)])
def test_a_run_in_the_sandbox_gives_the_same_bits(
    newest: Run, tmp_path: Path, environments: Path, frameworks: tuple[str, ...]
) -> None:
    chosen = proofs.words("--framework", frameworks)
    run = command.run(tmp_path, environments, *chosen, "--sandbox", "--scenario", "sft-ragged")
    assert (run.survivors, run.files) == ((), ())
    assert len(run.verdict.cells) == len(frameworks)
    for cell in run.verdict.cells:
        assert cell.verdict == newest.cell(cell.name).verdict, cell.reason
        assert "--sandbox" in cell.command
        if cell.trace is not None:
            assert bits(run.trace(cell.name)) == bits(newest.trace(cell.name))


@needs_sandbox
def test_so_does_torchrun(newest: Run, tmp_path: Path, environments: Path) -> None:
    run = command.run(tmp_path, environments, *ONE, "--sandbox", "--launcher", "torchrun")
    assert run.status == 0, run.said
    assert bits(run.trace(f"{TORCH}/sft-ragged")) == bits(newest.trace(f"{TORCH}/sft-ragged"))
