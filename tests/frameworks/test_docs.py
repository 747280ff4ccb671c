"""What the documentation shows, typed into one folder, as a reader would, by two hands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.docs import commands
from tests.docs.followed import RUN, of_the_run

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]

BINARIES = Path(sys.executable).parent


@dataclass(frozen=True)
class Typed:
    """A command that has ended."""

    status: int
    printed: str
    said: str
    """On stderr."""


@dataclass(frozen=True)
class Folder:
    """Where they are typed."""

    path: Path
    environments: Path

    def type(self, text: str) -> Typed:
        """Run a command by the shell. What is pruned are environments of its own."""
        own = {
            "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
            "LOCKSTEP_ENVS": str(self.path / ".envs" if " prune " in text else self.environments),
            "LOCKSTEP_HISTORY": str(self.path / "history.sqlite"),
            "GITHUB_STEP_SUMMARY": str(self.path / "step-summary.md"),
            "WANDB_CACHE_DIR": str(self.path / "cache"),
        }
        done = subprocess.run(
            ["bash", "-c", text.replace("TRACE...", "TRACE")],
            cwd=commands.ROOT if text.startswith("make ") else self.path,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        return Typed(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> dict[str, Typed]:
    folder = Folder(tmp_path_factory.mktemp("reader"), environments.resolve())

    def type_all(texts: Iterable[str]) -> dict[str, Typed]:
        found: dict[str, Typed] = {}
        for text in texts:
            if "TRACE" in text:
                shutil.copytree(folder.path / "DIR/cells/deepspeed-0.18.9/sft-ragged-zero2", folder.path / "TRACE")
            found[text] = folder.type(text)
        return found

    first, *rest = RUN  # `make setup` may change what the others run on
    halves = [[text for text in rest if of_the_run(text) is whether] for whether in (True, False)]
    with ThreadPoolExecutor() as hands:
        return {**type_all([first]), **{text: t for typed in hands.map(type_all, halves) for text, t in typed.items()}}


@pytest.mark.parametrize("text", RUN)
def test_it_ends_as_the_documentation_says(typed: dict[str, Typed], text: str) -> None:
    ended = typed[text]
    allowed = {0, 1} if text == "make gpu-check" and torch.cuda.is_available() else {RUN[text]}
    assert ended.status in allowed, ended.said + ended.printed
    assert "Traceback" not in ended.said + ended.printed


def test_they_say_what_the_documentation_says_of_them(typed: dict[str, Typed]) -> None:
    """By one line of each kind."""
    for start, line in {
        "lockstep explain DIR": "micro-batches 1 and 2 of 4 never reached the optimizer",
        "lockstep judge": "micro-batches 1 and 2 of 4 never reached the optimizer",
        "lockstep report DIR --format github": "::error title=FAIL deepspeed==0.18.9 on",
        "lockstep report DIR --format terminal": "micro-batches 1 and 2 of 4 never reached the optimizer",
        "lockstep history deepspeed": "dropped-micro-batches: 1, 2 of 4; gradient-scale: 1/GA",
        "lockstep run --framework torch --scenario sft-ragged --fault": "dropped-micro-batches",
    }.items():
        text = next(text for text in RUN if text.startswith(start))
        assert line in " ".join(typed[text].printed.split()), text
