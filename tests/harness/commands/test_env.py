from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import cli
from harness.environments import store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("deepspeed-0.18.9-0123456789ab", "torch-2.13.0-ba9876543210"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_bytes(b"x" * 2**21)
    return tmp_path


@dataclass(frozen=True)
class Call:
    """`lockstep env` on a folder of environments."""

    captured: pytest.CaptureFixture[str]

    def __call__(self, root: Path, *arguments: str) -> tuple[int, str]:
        """Exit status, and what was printed on either stream."""
        status = cli.call(["env", *arguments, "--envs", str(root)])
        return status, "".join(self.captured.readouterr())


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return Call(capsys)


def test_list_gives_names_in_full(call: Call, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    status, output = call(root, "list")
    assert status == 0
    assert "deepspeed-0.18.9-0123456789ab" in output
    assert "2 MiB" in output
    assert "unfinished" in output
    assert "\x1b" not in output


def test_list_of_nothing_says_so(call: Call, tmp_path: Path) -> None:
    status, output = call(tmp_path / "none", "list")
    assert (status, output.count("\n")) == (0, 1)


def test_prune_wants_to_be_told_what(call: Call, root: Path) -> None:
    assert call(root, "prune")[0] == 2
    assert call(root, "prune", "--all", "torch-2.13.0-ba9876543210")[0] == 2
    assert call(root, "prune", "nothing-like-it")[0] == 2
    assert len(store.stored(root)) == 2


def test_prune_removes_what_it_names(call: Call, root: Path) -> None:
    status, output = call(root, "prune", "torch-2.13.0-ba9876543210")
    assert (status, output) == (0, "removed torch-2.13.0-ba9876543210\nfreed 2 MiB\n")
    assert call(root, "prune", "--older-than", "1")[1] == "freed 0 MiB\n"
    assert call(root, "prune", "--all")[0] == 0
    assert store.stored(root) == []


def test_build_refuses_what_it_does_not_know(call: Call, root: Path) -> None:
    status, output = call(root, "build", "deepsped")
    assert (status, "did you mean 'deepspeed'" in output) == (2, True)
