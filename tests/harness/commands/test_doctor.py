from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.commands.doctor import doctor
from harness.environments import machine
from harness.environments.probe import Probe

app = typer.Typer()
app.command()(doctor)


@pytest.mark.parametrize(("required", "status", "state"), [(True, 3, "missing"), (False, 0, "optional")])
def test_what_is_missing_is_said_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: bool, status: int, state: str
) -> None:
    gap = Probe("thing", False, "not [found]", "install it", required)
    monkeypatch.setattr(machine, "probes", lambda root: [Probe("uv", True, "/bin/uv"), gap])
    result = CliRunner().invoke(app, ["--envs", str(tmp_path)])
    assert result.exit_code == status
    site, *lines = [line.split() for line in result.output.splitlines()]
    assert site[:4] == ["ok", "site", "file", "none:"]
    assert lines[0] == ["ok", "uv", "/bin/uv"]
    assert lines[1] == [state, "thing", "not", "[found];", "install", "it"]


def test_this_machine_is_looked_at(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--envs", str(tmp_path / "envs")])
    assert result.exit_code in (0, 3)
    assert {"Python", "uv", "disk"} <= {line.split()[1] for line in result.output.splitlines()}
