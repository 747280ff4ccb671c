"""Every place that has to know a framework's name knows all of them."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.environments import recipes

ROOT = Path(__file__).parents[2]
OURS = {"adapters", "torch", "numpy", "safetensors", "packaging", "yaml"}
"""What adapters import and the harness's own environment has as well."""
NO_FRAMEWORK = "The harness sees of adapters only the wire format, and no framework"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ADAPTERS = sorted({release.adapter for known in recipes.shipped().framework.values() for release in known.releases})


def imported(tree: ast.AST) -> Iterator[str]:
    """The top packages that a file imports, or has imported by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def foreign() -> set[str]:
    """Packages that adapters import and that only a framework's environment has."""
    files = [path for path in (ROOT / "adapters").rglob("*.py") if "stubbed" not in path.parts]
    return {name for path in files for name in imported(ast.parse(path.read_text()))} - OURS - sys.stdlib_module_names


def contract(name: str) -> dict[str, Any]:
    """The import contract of that name."""
    return next(c for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["name"] == name)


def test_mypy_follows_into_no_framework() -> None:
    lists = [o["module"] for o in PYPROJECT["tool"]["mypy"]["overrides"] if o.get("follow_imports") == "skip"]
    skipped = {name.removesuffix(".*") for names in lists for name in names}
    assert foreign() - skipped == set(), "add them to the mypy overrides in pyproject.toml"


def test_the_harness_may_import_no_framework() -> None:
    forbidden = set(contract(NO_FRAMEWORK)["forbidden_modules"])
    assert foreign() - forbidden == set(), "add them to that contract in pyproject.toml"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_adapter_of_every_recipe_is_there(adapter: str) -> None:
    assert (ROOT / f"{adapter.replace('.', '/')}.py").is_file()


def test_every_adapter_has_a_recipe() -> None:
    files = {f"adapters.{path.stem}" for path in (ROOT / "adapters").glob("*_sft.py")}
    assert files - set(ADAPTERS) == set()


@pytest.mark.parametrize("framework", recipes.shipped().framework)
def test_every_framework_stands_in_the_docs(framework: str) -> None:
    assert f"| {framework} |" in (ROOT / "docs" / "frameworks.md").read_text()
