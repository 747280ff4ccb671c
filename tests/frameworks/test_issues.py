"""The scripts of docs/issues: the wrong number on a release that is wrong, the right one on one that is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import issues as pages
from tests.frameworks.issues import ISSUES, run

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

QUICK = {"deepspeed-offload"}
"""Proofs of `make test`: wrong on one release, and right on another. All others are of the same kind."""


def cases(names: list[str]) -> list[object]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.exhaustive) for name in names]


@pytest.mark.parametrize("name", cases(list(ISSUES)))
def test_the_script_prints_the_wrong_number(name: str, environments: Path, tmp_path: Path) -> None:
    done = run(name, ISSUES[name].wrong, environments, tmp_path)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert printed(done.stdout, pages.read(name).wrong) == pages.read(name).wrong


@pytest.mark.parametrize("name", cases([name for name, releases in ISSUES.items() if releases.right]))
def test_the_script_prints_the_right_number_elsewhere(name: str, environments: Path, tmp_path: Path) -> None:
    done = run(name, ISSUES[name].right or "", environments, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert printed(done.stdout, pages.read(name).right) == pages.read(name).right


def printed(output: str, told: list[str]) -> list[str]:
    """The lines of an output that begin like those that the page tells: a framework prints others between them."""
    begins = {line.split(":")[0] for line in told}
    return [line for line in output.splitlines() if line.split(":")[0] in begins]
