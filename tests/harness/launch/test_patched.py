"""A Python file's `apply()`: run once, before any rank, by both launchers, and told in the trace."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.contract import HEADER, Job
from harness.environments import patch
from harness.launch.template import Template, TemplateFailed
from harness.launch.torchrun import run

Make = Callable[..., Job]

PYTHON = Path(sys.executable)

SOURCE = '''"""It prepares for something else."""
import misbehaving_sft

def apply():
    print("applying")
    before = misbehaving_sft.unsupported
    misbehaving_sft.unsupported = lambda scenario, version: before(scenario, version) or PATCHED

PATCHED = "patched"
'''


@pytest.fixture
def patched(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, str]]:
    """The variables of an environment with a patch of that source."""

    def make(source: str) -> dict[str, str]:
        file = tmp_path_factory.mktemp("patch") / "mend.py"
        file.write_text(source)
        return {**variables, **patch.variables([patch.load(str(file))])}

    return make


Patched = Callable[[str], dict[str, str]]


@pytest.mark.slow
def test_it_is_applied_once_before_the_ranks(patched: Patched, job: Make, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with Template(PYTHON, "misbehaving_sft", patched(SOURCE), log) as template:
        outcomes = [template.run(job(), 60) for _ in range(2)]
    assert [(o.status, o.reason) for o in outcomes] == [("unsupported", "patched")] * 2
    assert log.read_text().splitlines() == ["preparing", "applying"]


@pytest.mark.slow
def test_torchrun_applies_it_too(patched: Patched, job: Make) -> None:
    outcome = run(PYTHON, patched(SOURCE), job(), 120)
    assert (outcome.status, outcome.reason) == ("unsupported", "patched")


@pytest.mark.slow
def test_several_are_made_in_their_order(variables: dict[str, str], job: Make, tmp_path: Path) -> None:
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for file in files:
        file.write_text(f"def apply():\n    print({file.stem!r}, flush=True)\n")
    told = {**variables, **patch.variables([patch.load(str(file)) for file in files])}
    cell, log = job(), tmp_path / "log.txt"
    with Template(PYTHON, "misbehaving_sft", told, log) as template:
        assert template.run(cell, 60).status == "finished"
    assert log.read_text().splitlines()[-2:] == ["one", "two"]
    assert len(json.loads((Path(cell.trace) / HEADER).read_text())["shims"]) == 2


def test_it_stands_in_the_trace(patched: Patched, job: Make, tmp_path: Path) -> None:
    cell = job()
    with Template(
        PYTHON, "misbehaving_sft", patched(SOURCE.replace("PATCHED\n\n", "None\n\n")), tmp_path / "l"
    ) as template:
        assert template.run(cell, 60).status == "finished"
    (shim,) = json.loads((Path(cell.trace) / HEADER).read_text())["shims"]
    assert shim["name"].startswith("patch-")
    assert shim["reason"] == "It prepares for something else."


@pytest.mark.slow
def test_one_that_refuses_says_why(patched: Patched, job: Make, tmp_path: Path) -> None:
    refusing = patched("def apply():\n    raise RuntimeError('for misbehaving 2,\\nnot 1')\n")
    said = pytest.raises(TemplateFailed, match="does not apply: RuntimeError: for misbehaving 2, not 1")
    with Template(PYTHON, "misbehaving_sft", refusing, tmp_path / "l") as template, said:
        template.start()


@pytest.mark.slow
def test_one_that_refuses_says_why_by_torchrun(patched: Patched, job: Make) -> None:
    outcome = run(PYTHON, patched("def apply():\n    raise RuntimeError('not for 1')\n"), job(), 120)
    assert outcome.status == "crashed"
    assert "does not apply: RuntimeError: not for 1" in str(outcome.reason)


@pytest.mark.slow
def test_a_file_that_has_changed_since_is_not_run(patched: Patched, job: Make, tmp_path: Path) -> None:
    variables = patched(SOURCE)
    file = Path(json.loads(variables["LOCKSTEP_PATCHES"])[0]["file"])
    file.write_text(SOURCE + "# later\n")
    said = pytest.raises(TemplateFailed, match="has changed since the run began")
    with Template(PYTHON, "misbehaving_sft", variables, tmp_path / "l") as template, said:
        template.start()
