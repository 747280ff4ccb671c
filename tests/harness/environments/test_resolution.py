from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments.recipes import Recipes, load
from harness.environments.request import Request
from harness.environments.resolution import read, requirements, resolve

OLD = """
[pins]
torch = "2.13.0"
[framework.einops]
newest = "0.7.0"
[[framework.einops.releases]]
versions = ">=0.1"
adapter = "adapters.none"
packages = ["torch", "hjson", "tqdm>=4", "einops=={version}"]
exclude_newer = 2024-01-01
exempt = [
    "torch", "setuptools", "sympy", "filelock", "fsspec", "jinja2", "networkx", "typing-extensions", "mpmath",
    "markupsafe",
]
"""


@pytest.fixture
def known(tmp_path: Path) -> Recipes:
    (tmp_path / "recipes.toml").write_text(OLD)
    return load(tmp_path / "recipes.toml")


def test_pins_fill_in_what_is_open_and_overrides_win(known: Recipes) -> None:
    release = known.release("einops", "0.7.0")
    plain, alone = requirements(Request("einops", "0.7.0"), release, known.pins)
    assert (plain, alone) == (["torch==2.13.0", "hjson", "tqdm>=4", "einops==0.7.0"], [])
    chosen = Request("einops", "0.7.0", (("torch", "2.12.0"), ("tqdm", "4.60.0")))
    overridden, _ = requirements(chosen, release, known.pins)
    assert "torch==2.13.0" not in overridden
    assert overridden == ["hjson", "einops==0.7.0", "torch==2.12.0", "tqdm==4.60.0"]


def test_an_override_stays_without_its_dependencies(tmp_path: Path) -> None:
    (tmp_path / "recipes.toml").write_text(OLD.replace("exclude_newer", 'no_deps = ["Tri_ton==3"]\nexclude_newer'))
    known = load(tmp_path / "recipes.toml")
    chosen = Request("einops", "0.7.0", (("tri-ton", "2.0"),))
    with_, without = requirements(chosen, known.release("einops", "0.7.0"), known.pins)
    assert without == ["tri-ton==2.0"]
    assert with_ == ["torch==2.13.0", "hjson", "tqdm>=4", "einops==0.7.0"]


@pytest.mark.parametrize("text", ["", "torch", "torch==2.13.0\nhalf a li", "torch==2.13.0\n\n"])
def test_a_damaged_lock_is_no_lock(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    assert read(tmp_path / "lock") is None


@pytest.mark.frameworks
def test_an_old_release_is_resolved_at_its_own_date(known: Recipes, root: Path) -> None:
    lock = resolve(Request("einops", "0.7.0"), known, root, print)
    chosen = dict(line.split("==", 1) for line in lock)
    assert chosen["tqdm"] == "4.66.1"  # the newest on that day
    assert chosen["torch"].split("+")[0] == "2.13.0"  # exempt: it came out later
    assert resolve(Request("einops", "0.7.0"), known, root, pytest.fail) == lock
