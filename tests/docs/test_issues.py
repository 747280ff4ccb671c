"""Every report for upstream has the same form, and shows the script that lies beside it."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs import issues
from tests.docs.issues import FOLDER
from tests.frameworks.issues import ISSUES

SECTIONS = ["What happens", "Script", "What is expected, and why", "Since which release", "A fix"]
OURS = {"adapters", "harness", "lockstep", "lockstep_recorder", "reports", "scenarios", "tests"}
LINES = 60


def test_each_page_has_a_script_and_releases_that_it_is_run_on() -> None:
    scripts = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert issues.names() == scripts == sorted(ISSUES)


@pytest.mark.parametrize("name", issues.names())
def test_the_page_has_the_form_of_a_report(name: str) -> None:
    page = issues.read(name)
    assert page.sections == SECTIONS
    assert page.title
    assert page.wrong
    assert bool(page.right) == (ISSUES[name].right is not None)
    numbers = re.findall(r"\w[\w-]* (\d+\.\d+\.\d+)", page.wrong[0])
    assert numbers, "the first line tells no version"
    assert all(number in page.versions for number in numbers), (numbers, page.versions)


@pytest.mark.parametrize("name", issues.names())
def test_the_script_stands_alone(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text()
    assert issues.read(name).script == source
    assert len(source.splitlines()) <= LINES
    assert not imported(source) & OURS


def imported(source: str) -> set[str]:
    """Top-level packages that a script imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found
